-- bury(key, queue, id, ...): copy a task's hash to the dead letters, with more fields.
-- Bounded: 7 days, and the newest 10 000 of a queue.
local function bury(key, queue, id, ...)
  local dead, letter = prefix .. 'dead:' .. queue, prefix .. 'letter:' .. id
  local fields = redis.pcall('HGETALL', key)
  redis.call('DEL', letter)
  if not fields.err and #fields > 0 then redis.call('HSET', letter, unpack(fields)) end
  redis.call('HSET', letter, 'release_time', stamp, ...)
  redis.call('EXPIRE', letter, 604800)
  redis.call('ZADD', dead, stamp, id)
  redis.call('EXPIRE', dead, 604800)
  redis.call('ZREMRANGEBYSCORE', dead, '-inf', at(now - 604800))
  local excess = redis.call('ZRANGE', dead, 0, -10001)
  for _, old in ipairs(excess) do
    redis.call('DEL', prefix .. 'letter:' .. old)
    redis.call('ZREM', dead, old)
  end
end
