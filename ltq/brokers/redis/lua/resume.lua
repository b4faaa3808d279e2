--[[
resume: let paused queues be claimed from again, and wake the consumers of their lanes.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] queues

RETURNS how many of them were paused
]]
local prefix, count = KEYS[1], 0
-- @include call_or_reset, queue_lanes, wake
for _, queue in ipairs(ARGV) do
  if call_or_reset('SREM', prefix .. 'paused', queue) == 1 then
    for _, lane in ipairs(lanes_of(queue)) do wake(lane) end
    count = count + 1
  end
end
return count
