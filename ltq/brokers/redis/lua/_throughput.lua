-- count_ended(queue, count): count tasks of a queue that ended now. It must not fail, as it is called after
-- everything else is written.
-- throughput(queue): how many tasks ended per second in the last minute, as text. Tasks are counted in steps
-- of THROUGHPUT_STEP seconds; the last THROUGHPUT_STEPS steps make up the minute.
-- @include time, call_or_reset
-- @constant THROUGHPUT_STEP, THROUGHPUT_STEPS
local last_step = math.floor(now / THROUGHPUT_STEP)
local function count_ended(queue, count)
  local key = prefix .. 'throughput:' .. queue
  local total = redis.pcall('HINCRBY', key, string.format('%.0f', last_step), count)
  if type(total) == 'number' and total ~= count then return end
  if type(total) ~= 'number' then redis.call('DEL', key) end -- it was spoilt
  redis.call('EXPIRE', key, 2 * THROUGHPUT_STEP * THROUGHPUT_STEPS)
  for _, step in ipairs(redis.call('HKEYS', key)) do -- once in each step
    local age = last_step - (tonumber(step) or 0)
    if age < 0 or age >= THROUGHPUT_STEPS then redis.call('HDEL', key, step) end
  end
end
local function throughput(queue)
  local steps, count = {}, 0
  for i = 1, THROUGHPUT_STEPS do steps[i] = string.format('%.0f', last_step - i + 1) end
  for _, ended in ipairs(call_or_reset('HMGET', prefix .. 'throughput:' .. queue, unpack(steps))) do
    count = count + (tonumber(ended) or 0)
  end
  return at(count / (now - (last_step - THROUGHPUT_STEPS + 1) * THROUGHPUT_STEP))
end
