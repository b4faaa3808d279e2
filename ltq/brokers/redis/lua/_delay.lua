-- delay_until(due, queue, lane, id): let a task of a lane wait until it is due. Tasks of one call are due a
-- microsecond after each other, as tasks with the same time would come in the order of their ids.
-- @include time, call_or_reset, wake
local postponed = 0
local function delay_until(due, queue, lane, id)
  due, postponed = due + postponed / 1e6, postponed + 1
  call_or_reset('ZADD', prefix .. 'delayed:' .. queue, at(due), id)
  local changed = call_or_reset('ZADD', prefix .. 'due', 'LT', 'CH', at(due), queue)
  if changed == 1 and call_or_reset('ZRANGE', prefix .. 'due', 0, 0)[1] == queue then
    wake(lane) -- no consumer may sleep past the new earliest due time
  end
end
