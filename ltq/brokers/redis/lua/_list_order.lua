-- is_out_of_order(member, since): whether a task that has waited since then is older than the first task of a
-- ready list, or newer than the last. Otherwise only reading the list shows whether it contains the task.
-- @include first_waiting, waits_since
local ends = {} -- of each ready list: when its first task was sent, and since when its last one waits
local function end_of(member, position)
  local name = member .. ' ' .. position
  if not ends[name] then
    local id = first_waiting(member, position == -1)
    local hash = redis.pcall('HMGET', prefix .. 'task:' .. (id or ''), 'enqueue_time', 'last_requeue_time')
    if position == 0 then hash[2] = nil end -- it may have been requeued to the front
    ends[name] = not hash.err and waits_since(hash[1], hash[2]) or 0
  end
  return ends[name]
end
local function is_out_of_order(member, since)
  return since < end_of(member, 0) or since > end_of(member, -1)
end
