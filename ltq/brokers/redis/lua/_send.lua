-- send_task(group, id, body, again): enqueue a task of a group from `read_group`, and return the answer that
-- `send` describes. `again` is '1' if the call may have been carried out before. Call flush_ready() at the
-- end.
-- count_new_queues(): how many queues got their first task ever.
-- @include time, call_or_reset, ready_batch, delay, queue_lanes, ended, skipped
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
local function is_full(group)
  local waiting = call_or_reset('ZCARD', prefix .. 'delayed:' .. group.queue)
  for _, lane in ipairs(lanes_of(group.queue)) do
    for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
      local member = priority .. ':' .. lane
      waiting = waiting + count_waiting(member) + count_added(member)
    end
  end
  return waiting >= tonumber(group.conditions.max_pending)
end
-- The answer that refuses a new task, if a condition does. Otherwise the fingerprint of the task is kept.
local function refusal(group, id)
  local fingerprint = group.conditions.fingerprint
  local unique = fingerprint and prefix .. 'unique:' .. fingerprint
  if unique and redis.call('EXISTS', unique) == 1 then return 'duplicate' end
  if group.conditions.max_pending and is_full(group) then return 'full' end
  if unique then redis.call('SET', unique, id, 'PX', group.conditions.unique_for) end
end
-- Whether the task has ended since an earlier attempt of this call, without leaving a state.
local function has_ended(group, id, again)
  if again ~= '1' or group.conditions.id_may_be_old then return false end
  return ended_as(id) ~= nil
end
local queues, lanes, new_queues = {}, {}, 0
local function count_new_queues() return new_queues end
local function send_task(group, id, body, again)
  local key = prefix .. 'task:' .. id
  if redis.call('EXISTS', key) == 1 then
    local name = redis.pcall('HGET', key, 'task')
    return type(name) == 'string' and name ~= ARGV[group.first_field + 1] and 'id_conflict' or 'exists'
  end
  if has_ended(group, id, again) then return 'exists' end
  local refused = refusal(group, id)
  if refused then return refused end
  if not queues[group.queue] then
    queues[group.queue] = true
    new_queues = new_queues + call_or_reset('SADD', prefix .. 'lanes', group.queue)
  end
  local due = group.eta ~= '' and tonumber(group.eta) or now + group.delay
  local status = due > now and 'delayed' or 'pending'
  redis.call('HSET', key, 'status', status, 'enqueue_time', stamp, 'body', body,
    unpack(ARGV, group.first_field, group.last_field))
  if status == 'delayed' then
    delay_until(due, group.queue, group.lane, id)
  else
    if not lanes[group.lane] then keep_lane(group.lane) end -- `is_full` needs it
    lanes[group.lane] = true
    add_ready(group.lane, group.priority, id)
  end
  return 'created'
end
