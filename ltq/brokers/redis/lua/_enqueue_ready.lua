-- wake(lane): leave a wake-up for one consumer of a lane.
-- enqueue_ready(lane, priority, ...): append the ids, if any, to the ready list of a lane and priority,
-- mark that list as active, and wake a consumer of the lane.
-- @include time, call_or_reset
local function wake(lane) call_or_reset('ZADD', prefix .. 'wake:' .. lane, 0, '1') end
local function enqueue_ready(lane, priority, ...)
  local member = priority .. ':' .. lane
  if ... then call_or_reset('RPUSH', prefix .. 'ready:' .. member, ...) end
  -- By priority, then by time: Unix seconds have ten digits.
  call_or_reset('ZADD', prefix .. 'active', 'NX', priority .. stamp, member)
  wake(lane)
end
