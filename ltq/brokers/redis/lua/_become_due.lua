-- return_task(id, queue, hash, ...): let a task wait in its lane again, with more fields and values, which
-- come last.
-- become_due(id, queue, hash): let a delayed task wait in its lane, since `hash.due` or now. `hash` has the
-- fields of the task, by name. Call flush_ready() at the end.
-- @include time, ready_batch
local function return_task(id, queue, hash, ...)
  local count = string.format('%.0f', (tonumber(hash.requeue_count) or 0) + 1)
  redis.call('HDEL', prefix .. 'task:' .. id, 'progress')
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'requeue_count', count,
    'last_requeue_time', stamp, ...)
  add_ready(hash.lane or queue, hash.priority, id)
end
local function become_due(id, queue, hash)
  local since = hash.due or stamp
  if hash.token then return return_task(id, queue, hash, 'last_requeue_time', since) end -- a retry
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'last_requeue_time', since)
  add_ready(hash.lane or queue, hash.priority, id)
end
