-- leave_place(id, queue, hash): take a task from where it waits; return whether it does wait. `hash` begins
-- with the status, task, queue, lane and priority. Call reindex('due', 'delayed:', queue) at the end if it
-- may be delayed.
-- @include call_or_reset, drop_lane, priorities, withdraw
local function leave_place(id, queue, hash)
  if hash[1] == 'pending' then
    local lane = hash[4] or queue
    withdraw(priority_of(hash[5]) .. ':' .. lane, id)
    drop_lane(lane)
  elseif hash[1] == 'delayed' then
    call_or_reset('ZREM', prefix .. 'delayed:' .. queue, id)
  else
    return false
  end
  return true
end
