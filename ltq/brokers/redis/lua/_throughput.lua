-- mark(queue, count): so many tasks of a queue ended now. It never fails: it is called when all else
-- is written. throughput(queue): tasks a second that ended in the last minute. `throughput` counts by tens of
-- seconds: the present ones, and the five before.
local STEP, STEPS, PACE_TTL = 10, 6, 120
local last = math.floor(now / STEP)
local function mark(queue, count)
  local key = prefix .. 'throughput:' .. queue
  local total = redis.pcall('HINCRBY', key, string.format('%.0f', last), count)
  if type(total) == 'number' and total ~= count then return end
  if type(total) ~= 'number' then redis.call('DEL', key) end -- spoilt
  redis.call('EXPIRE', key, PACE_TTL)
  for _, step in ipairs(redis.call('HKEYS', key)) do -- once in STEP seconds
    local age = last - (tonumber(step) or 0)
    if age < 0 or age >= STEPS then redis.call('HDEL', key, step) end
  end
end
local function throughput(queue)
  local steps, count = {}, 0
  for i = 1, STEPS do steps[i] = string.format('%.0f', last - i + 1) end
  for _, ended in ipairs(call_or_reset('HMGET', prefix .. 'throughput:' .. queue, unpack(steps))) do
    count = count + (tonumber(ended) or 0)
  end
  return at(count / (now - (last - STEPS + 1) * STEP))
end
