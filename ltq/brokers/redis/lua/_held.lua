-- waits_for_others(id, queue, status): whether a task waits for others.
-- leave_held(id, queue): take it from where it waits. Call reindex('due', 'delayed:', queue) at the end.
-- restart_task(id, queue, hash, waits): send a cancelled task again whose arguments were kept, or let it
-- wait for others as before. `hash` comes from `read_task`. Call flush_ready() at the end.
-- @include time, call_or_reset, delay, ready_batch
-- @constant HELD, NOTE
local function waits_for_others(id, queue, status)
  if status ~= 'delayed' then return false end
  local due = tonumber(call_or_reset('ZSCORE', prefix .. 'delayed:' .. queue, id) or nil)
  return due and due >= HELD
end
-- @rare
local function leave_held(id, queue) call_or_reset('ZREM', prefix .. 'delayed:' .. queue, id) end
-- @rare
local function restart_task(id, queue, hash, waits)
  local key, slots = prefix .. 'task:' .. id, prefix .. 'slots:' .. id
  local serializer = redis.call('HGET', key, 'body_serializer')
  redis.call('PERSIST', key)
  redis.call('HDEL', key, 'release_time', 'returned', 'body_serializer', 'tries', 'result')
  if serializer then redis.call('HSET', key, 'serializer', serializer) end
  redis.call('HINCRBY', key, 'token', 1)
  redis.call('HSET', key, 'status', waits and 'delayed' or 'pending', 'enqueue_time', stamp)
  if not waits then return add_ready(hash[4] or queue, hash[5], id) end
  redis.call('HDEL', slots, NOTE)
  redis.call('PERSIST', slots)
  delay_until(HELD, queue, hash[4] or queue, id)
end
