-- delay_until(queue, lane, id, due): let a task wait for its time. After `ready`.
local function delay_until(queue, lane, id, due)
  call_or_reset('ZADD', prefix .. 'delayed:' .. queue, at(due), id)
  local changed = call_or_reset('ZADD', prefix .. 'due', 'LT', 'CH', at(due), queue)
  if changed == 1 and call_or_reset('ZRANGE', prefix .. 'due', 0, 0)[1] == queue then
    wake(lane) -- whoever sleeps shall sleep no longer than to this
  end
end
