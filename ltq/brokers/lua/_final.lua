-- close(key, ttl, default, status, ...): make a task final. Its body goes; its state, with more
-- fields and values, stays `ttl` seconds, or `default` where that is no number (0: gone at once).
local CENTURY = 3155760000
local function close(key, ttl, default, status, ...)
  ttl = tonumber(ttl)
  if not ttl or ttl ~= ttl then ttl = tonumber(default) end
  if ttl <= 0 then return redis.call('DEL', key) end
  redis.call('HDEL', key, 'body', 'ctx', 'lane', 'priority', 'progress', 'max_tries', 'result_ttl',
    'max_deliveries', 'error', 'error_type', 'traceback')
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  local life = math.ceil(math.min(ttl, CENTURY) * 1000)
  redis.call('PEXPIRE', key, string.format('%.0f', life))
end
