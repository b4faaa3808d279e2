-- bury(id, queue, ...): copy a task's hash to the dead letters, with more fields and values. Each id has one
-- dead letter. It is kept for DEAD_TTL seconds, and only the newest MAX_DEAD of a queue are kept.
-- @include time, call_or_reset
-- @constant DEAD_TTL, MAX_DEAD
local function bury(id, queue, ...)
  local dead, letter = prefix .. 'dead:' .. queue, prefix .. 'dead_letter:' .. id
  local before = redis.pcall('HMGET', letter, 'queue', 'task')
  local elsewhere = not before.err and (before[1] or before[2])
  if elsewhere and elsewhere ~= queue then call_or_reset('ZREM', prefix .. 'dead:' .. elsewhere, id) end
  redis.call('DEL', letter)
  local fields = redis.pcall('HGETALL', prefix .. 'task:' .. id) -- empty if it is not a hash
  for i = 1, #fields, 1000 do
    redis.call('HSET', letter, unpack(fields, i, math.min(i + 999, #fields)))
  end
  redis.call('HDEL', letter, 'progress', 'error', 'error_type', 'traceback')
  redis.call('HSET', letter, 'queue', queue, 'release_time', stamp, ...)
  redis.call('EXPIRE', letter, DEAD_TTL)
  call_or_reset('ZADD', dead, stamp, id)
  redis.call('EXPIRE', dead, DEAD_TTL)
  call_or_reset('ZREMRANGEBYSCORE', dead, '-inf', at(now - DEAD_TTL))
  for _, old in ipairs(call_or_reset('ZRANGE', dead, 0, -MAX_DEAD - 1)) do
    redis.call('DEL', prefix .. 'dead_letter:' .. old)
    call_or_reset('ZREM', dead, old)
  end
end
