-- close(key, ttl, default, token, status, ...): make a task final. Its body goes; its state, with
-- more fields and values, stays `ttl` seconds, or `default` where that is no number. 0: it is gone
-- at once, and for a while `ended` tells repeated calls that it was there, and by which token (0: a
-- cancellation, -1: the death of its workers).
local CENTURY = 3155760000
local ENDED_TTL, MAX_ENDED = 10, 10000
local function close(key, ttl, default, token, status, ...)
  ttl = tonumber(ttl)
  if not ttl or ttl ~= ttl then ttl = tonumber(default) end
  if ttl <= 0 then
    redis.call('DEL', key)
    sure('ZADD', prefix .. 'ended', token, string.sub(key, #prefix + 6))
    redis.call('ZREMRANGEBYRANK', prefix .. 'ended', 0, -MAX_ENDED - 1)
    redis.call('EXPIRE', prefix .. 'ended', ENDED_TTL)
    return
  end
  redis.call('HDEL', key, 'body', 'ctx', 'lane', 'priority', 'progress', 'max_tries', 'result_ttl',
    'max_deliveries', 'error', 'error_type', 'traceback')
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  local life = math.ceil(math.min(ttl, CENTURY) * 1000)
  redis.call('PEXPIRE', key, string.format('%.0f', life))
end
