-- requeue(id, queue, token, status, delay, flags, ...): let a task run again, now ('pending') or later
-- ('delayed'), with more fields and values. After `ready` and `later`.
local function requeue(id, queue, token, status, delay, flags, ...)
  local key = prefix .. 'task:' .. id
  local hash = redis.call('HMGET', key, 'lane', 'priority', 'tries', 'requeue_count')
  local lane, priority = hash[1] or queue, hash[2] or '1'
  redis.call('HDEL', key, 'progress', 'error', 'error_type', 'traceback')
  if string.find(flags, 't', 1, true) then
    redis.call('HSET', key, 'tries', string.format('%.0f', (tonumber(hash[3]) or 0) + 1))
  end
  if status == 'delayed' then
    redis.call('HSET', key, 'status', status, 'returned', token, ...)
    return delay_until(queue, lane, id, now + tonumber(delay))
  end
  local count = string.format('%.0f', (tonumber(hash[4]) or 0) + 1)
  redis.call('HSET', key, 'status', status, 'returned', token, 'requeue_count', count,
    'last_requeue_time', stamp, ...)
  push(lane, priority, id, string.find(flags, 'f', 1, true))
end
