-- active_rank(priority): the score among the active lists of one that is served now: first by priority, then
-- by time.
-- enqueue_ready(lane, priority, ...): append the ids, if any, to the ready list of a lane and priority,
-- mark that list as active, and wake a consumer of the lane.
-- @include time, call_or_reset, queue_lanes, wake
local function active_rank(priority) return priority .. stamp end -- Unix seconds have ten digits
local function enqueue_ready(lane, priority, ...)
  local member = priority .. ':' .. lane
  if ... then call_or_reset('RPUSH', prefix .. 'ready:' .. member, ...) end
  if string.find(lane, '/', 1, true) then keep_lane(lane) end
  call_or_reset('ZADD', prefix .. 'active', 'NX', active_rank(priority), member)
  wake(lane)
end
