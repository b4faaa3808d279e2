-- read_task(id): the values of {status, task, queue, lane, priority, worker, result_ttl, deaths,
-- enqueue_time, tags} of a task.
-- cancel_task(id, queue, hash, result_ttl, listed): make a task final as cancelled that is not final yet.
-- `hash` comes from `read_task`. If it is `listed`, it is so with the final ones.
-- finish_cancels(queue, status, count, history): call it after `count` tasks with this status were cancelled.
-- With `history` they are counted in it.
-- @include call_or_reset, finalize, final_list, history, leave_place, reindex
local function read_task(id)
  return redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'task', 'queue', 'lane', 'priority',
    'worker', 'result_ttl', 'deaths', 'enqueue_time', 'tags')
end
local function cancel_task(id, queue, hash, result_ttl, listed)
  if not leave_place(id, queue, hash) then
    call_or_reset('ZREM', prefix .. 'leases:' .. queue, id)
    -- A user may have no right to channels: then the next heartbeat tells the worker.
    if hash[6] then redis.pcall('PUBLISH', prefix .. 'revoked:' .. hash[6], id) end
  end
  local deaths = hash[8] and { 'deaths', hash[8] } or {}
  local ttl = state_ttl(hash[7] or result_ttl, result_ttl)
  finalize(id, ttl, 0, 'cancelled', unpack(deaths))
  if listed then add_final(queue, id, ttl) end
end
local function finish_cancels(queue, status, count, history)
  flush_final()
  if status == 'delayed' then reindex('due', 'delayed:', queue) end
  if status == 'working' then reindex('lease_ends', 'leases:', queue) end
  if history and count > 0 then
    note_count(queue, 'cancelled', count)
    flush_history()
  end
end
