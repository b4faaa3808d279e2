-- requeue(id, token, group): let a task run again, now ('pending') or later ('delayed'), as its group of
-- outcomes says. The group comes from `read_outcomes`. Call flush_ready() at the end.
-- @include time, ready_batch, delay
local function requeue(id, token, group)
  local key, status, fields = prefix .. 'task:' .. id, group.status, group.fields
  local hash = redis.call('HMGET', key, 'lane', 'priority', 'tries', 'requeue_count')
  local lane, priority = hash[1] or group.queue, hash[2]
  redis.call('HDEL', key, 'progress')
  if not group.flags.void then redis.call('HDEL', key, 'deaths') end
  if not group.flags.keep then redis.call('HDEL', key, 'error', 'error_type', 'traceback') end
  if group.flags.failed then
    redis.call('HSET', key, 'tries', string.format('%.0f', (tonumber(hash[3]) or 0) + 1))
  end
  if status == 'delayed' then
    redis.call('HSET', key, 'status', status, 'returned', token, unpack(fields))
    return delay_until(now + tonumber(group.seconds), group.queue, lane, id)
  end
  local count = string.format('%.0f', (tonumber(hash[4]) or 0) + 1)
  redis.call('HSET', key, 'status', status, 'returned', token .. (group.flags.front and ' front' or ''),
    'requeue_count', count, 'last_requeue_time', stamp, unpack(fields))
  add_ready(lane, priority, id, group.flags.front and tonumber(token))
end
