-- wake(lane): leave a wake-up for one consumer of a lane.
-- enqueue_ready(member, ...): append the ids, if any, to the ready list `member` ("<priority>:<lane>"),
-- mark that list as active, and wake a consumer of its lane.
-- @include time, call_or_reset
local function wake(lane) call_or_reset('ZADD', prefix .. 'wake:' .. lane, 0, '1') end
local function enqueue_ready(member, ...)
  if ... then call_or_reset('RPUSH', prefix .. 'ready:' .. member, ...) end
  local rank = string.sub(member, 1, 1) .. stamp -- by priority, then by time: seconds have ten digits
  call_or_reset('ZADD', prefix .. 'active', 'NX', rank, member)
  wake(string.sub(member, 3))
end
