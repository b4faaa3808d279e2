-- enqueue_ready(member, ...): let the tasks of these ids, if any, wait in a ready list, mark it as active,
-- and leave a wake-up for one consumer of its lane.
local function wake(lane) call_or_reset('ZADD', prefix .. 'wake:' .. lane, 0, '1') end
local function enqueue_ready(member, ...)
  if ... then call_or_reset('RPUSH', prefix .. 'ready:' .. member, ...) end
  local rank = string.sub(member, 1, 1) .. stamp -- by priority, then by time: these have ten digits
  call_or_reset('ZADD', prefix .. 'active', 'NX', rank, member)
  wake(string.sub(member, 3))
end
