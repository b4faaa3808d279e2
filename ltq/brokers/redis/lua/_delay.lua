-- delay_until(due, queue, lane, id): let a task of a lane wait until it is due.
-- @include time, call_or_reset, enqueue_ready
local function delay_until(due, queue, lane, id)
  call_or_reset('ZADD', prefix .. 'delayed:' .. queue, at(due), id)
  local changed = call_or_reset('ZADD', prefix .. 'due', 'LT', 'CH', at(due), queue)
  if changed == 1 and call_or_reset('ZRANGE', prefix .. 'due', 0, 0)[1] == queue then
    wake(lane) -- no consumer may sleep past the new earliest due time
  end
end
