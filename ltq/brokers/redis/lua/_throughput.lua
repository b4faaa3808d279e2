-- count_ended(queue, count): count tasks of a queue that ended now. It must not fail, as it is called after
-- everything else is written.
-- throughput(queue): how many tasks ended per second in the last minute, and in the last ten seconds, both as
-- text. Tasks are counted in steps of THROUGHPUT_STEP seconds; the last THROUGHPUT_STEPS steps make up the
-- minute, the last THROUGHPUT_LATELY the ten seconds.
-- @include time, call_or_reset
-- @constant THROUGHPUT_LATELY, THROUGHPUT_STEP, THROUGHPUT_STEPS
local last_step = math.floor(now / THROUGHPUT_STEP)
local function count_ended(queue, count)
  local key = prefix .. 'throughput:' .. queue
  local total = redis.pcall('HINCRBY', key, string.format('%d', last_step), count == 1 and '1' or count)
  if type(total) == 'number' and total ~= count then return end
  if type(total) ~= 'number' then redis.call('DEL', key) end -- it was spoilt
  redis.call('EXPIRE', key, 2 * THROUGHPUT_STEP * THROUGHPUT_STEPS)
  for _, step in ipairs(redis.call('HKEYS', key)) do -- once in each step
    local age = last_step - (tonumber(step) or 0)
    if age < 0 or age >= THROUGHPUT_STEPS then redis.call('HDEL', key, step) end
  end
end
local function rate_of(count, steps)
  return at(count / (now - (last_step - steps + 1) * THROUGHPUT_STEP))
end
local function throughput(queue)
  local ended, minute, lately = call_or_reset('HGETALL', prefix .. 'throughput:' .. queue), 0, 0
  for i = 1, #ended, 2 do
    local age, count = last_step - (tonumber(ended[i]) or 0), tonumber(ended[i + 1]) or 0
    if age >= 0 and age < THROUGHPUT_STEPS then minute = minute + count end
    if age >= 0 and age < THROUGHPUT_LATELY then lately = lately + count end
  end
  return rate_of(minute, THROUGHPUT_STEPS), rate_of(lately, THROUGHPUT_LATELY)
end
