-- list_dead(id, queue, died): list a dead letter that was written, and keep it for DEAD_TTL seconds from its
-- death, a time as text. Only the newest MAX_DEAD of a queue are kept.
-- @include time, call_or_reset
-- @constant DEAD_TTL, MAX_DEAD
local function list_dead(id, queue, died)
  local dead = prefix .. 'dead:' .. queue
  local left = string.format('%.0f', (tonumber(died) + DEAD_TTL - now) * 1000)
  redis.call('PEXPIRE', prefix .. 'dead_letter:' .. id, left)
  call_or_reset('ZADD', dead, died, id)
  redis.call('EXPIRE', dead, DEAD_TTL)
  call_or_reset('ZREMRANGEBYSCORE', dead, '-inf', at(now - DEAD_TTL))
  for _, old in ipairs(call_or_reset('ZRANGE', dead, 0, -MAX_DEAD - 1)) do
    redis.call('DEL', prefix .. 'dead_letter:' .. old)
    call_or_reset('ZREM', dead, old)
  end
end
