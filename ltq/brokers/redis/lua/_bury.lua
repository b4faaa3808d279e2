-- bury(id, queue, ...): copy a task's hash to the dead letters, with more fields and values. Each id has one
-- dead letter. Those that are buried together are a microsecond apart, so that they stay in this order.
-- @include time, call_or_reset, dead_list
local buried = 0
local function bury(id, queue, ...)
  local moment = at(now + buried / 1e6)
  buried = buried + 1
  local letter = prefix .. 'dead_letter:' .. id
  local before = redis.pcall('HMGET', letter, 'queue', 'task')
  local elsewhere = not before.err and (before[1] or before[2])
  if elsewhere and elsewhere ~= queue then call_or_reset('ZREM', prefix .. 'dead:' .. elsewhere, id) end
  redis.call('DEL', letter)
  local fields = redis.pcall('HGETALL', prefix .. 'task:' .. id) -- empty if it is not a hash
  for i = 1, #fields, 1000 do
    redis.call('HSET', letter, unpack(fields, i, math.min(i + 999, #fields)))
  end
  redis.call('HDEL', letter, 'progress', 'items', 'error', 'error_type', 'traceback')
  redis.call('HSET', letter, 'queue', queue, 'release_time', moment, ...)
  list_dead(id, queue, moment)
end
