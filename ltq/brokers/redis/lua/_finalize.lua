-- lifetime(ttl, default): how long a final state stays, in milliseconds as text, for `ttl` seconds, or
-- `default` where that is no number; nil if not at all.
local CENTURY = 3155760000
local function lifetime(ttl, default)
  ttl = tonumber(ttl)
  if not ttl or ttl ~= ttl then ttl = tonumber(default) end
  return ttl > 0 and string.format('%.0f', math.ceil(math.min(ttl, CENTURY) * 1000)) or nil
end
-- close(key, life, token, status, ...): make a task final. Its body goes; its state, with more fields
-- and values, stays for its `life`. nil: it is gone at once, and for a while `ended` tells repeated
-- calls that it was there, and by which token (0: a cancellation, -1: the death of its workers).
local ENDED_TTL, MAX_ENDED = 10, 10000
local function close(key, life, token, status, ...)
  if not life then
    redis.call('DEL', key)
    call_or_reset('ZADD', prefix .. 'ended', token, string.sub(key, #prefix + 6))
    redis.call('ZREMRANGEBYRANK', prefix .. 'ended', 0, -MAX_ENDED - 1)
    redis.call('EXPIRE', prefix .. 'ended', ENDED_TTL)
    return
  end
  redis.call('HDEL', key, 'body', 'ctx', 'lane', 'priority', 'progress', 'max_tries', 'result_ttl',
    'max_deliveries', 'error', 'error_type', 'traceback')
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  redis.call('PEXPIRE', key, life)
end
