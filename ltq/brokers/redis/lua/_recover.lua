-- return_task(id, queue, hash, ...): let a task wait in its lane again, with more fields and values.
-- recover(id, queue, hash): take a working task from a dead worker; return whether it was buried. `hash` has
-- the fields of the task, by name. Call flush_ready() at the end.
-- @include time, ready_batch, bury, finalize
-- @constant DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL, KILLED_ONCE, KILLED_TIMES
local function return_task(id, queue, hash, ...)
  local count = string.format('%.0f', (tonumber(hash.requeue_count) or 0) + 1)
  redis.call('HDEL', prefix .. 'task:' .. id, 'progress')
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'requeue_count', count,
    'last_requeue_time', stamp, ...)
  add_ready(hash.lane or queue, hash.priority, id)
end
local function recover(id, queue, hash)
  local deaths = (tonumber(hash.deaths) or 0) + 1
  local died = string.format('%.0f', deaths)
  local token = string.format('%.0f', (tonumber(hash.token) or 0) + 1)
  if deaths < (tonumber(hash.max_deliveries) or DEFAULT_MAX_DELIVERIES) then
    return_task(id, queue, hash, 'deaths', died, 'token', token)
    return false
  end
  local text = deaths == 1 and KILLED_ONCE or string.format(KILLED_TIMES, died)
  local ttl = state_ttl(hash.result_ttl, DEFAULT_RESULT_TTL)
  bury(id, queue, 'status', 'rejected', 'error', text, 'deaths', died, 'token', token)
  finalize(id, ttl, -1, 'rejected', 'error', text, 'token', token)
  return true
end
