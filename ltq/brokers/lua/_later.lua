-- postpone(queue, lane, id, due): let a task wait for its time. After `ready`.
local function postpone(queue, lane, id, due)
  sure('ZADD', prefix .. 'delayed:' .. queue, at(due), id)
  local changed = sure('ZADD', prefix .. 'due', 'LT', 'CH', at(due), queue)
  if changed == 1 and sure('ZRANGE', prefix .. 'due', 0, 0)[1] == queue then
    wake(lane) -- whoever sleeps shall sleep no longer than to this
  end
end
