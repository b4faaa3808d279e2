-- own_queue(lane): the queue of a lane in which only tasks of one name wait; nil if it is a queue's own lane.
-- lanes_of(queue): all lanes of a queue that may have ready tasks.
-- keep_lane(lane): remember a lane that gets a task.
-- @include call_or_reset
local function own_queue(lane) return string.match(lane, '^([^/]*)/') end
local function lanes_of(queue)
  local lanes = call_or_reset('ZRANGE', prefix .. 'queue_lanes:' .. queue, '0', '-1')
  lanes[#lanes + 1] = queue
  return lanes
end
-- @rare
local function keep_lane(lane)
  local queue = own_queue(lane)
  if queue then call_or_reset('ZADD', prefix .. 'queue_lanes:' .. queue, '0', lane) end
end
