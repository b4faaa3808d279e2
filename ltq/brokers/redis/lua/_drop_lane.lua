-- drop_lane(lane): leave nothing of a lane in which only tasks of one name wait, if none is ready there. The
-- names of such lanes may come from anywhere.
-- @include call_or_reset, queue_lanes
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
-- @rare
local function drop_lane(lane)
  local queue = own_queue(lane)
  if not queue then return end
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    if call_or_reset('LLEN', prefix .. 'ready:' .. priority .. ':' .. lane) > 0 then return end
  end
  call_or_reset('ZREM', prefix .. 'queue_lanes:' .. queue, lane)
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    call_or_reset('ZREM', prefix .. 'active', priority .. ':' .. lane)
  end
  redis.call('DEL', prefix .. 'wake:' .. lane)
end
