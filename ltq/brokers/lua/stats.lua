--[[
stats: count the tasks of queues, at one moment, and how quickly they end.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV    queues

RETURNS for each queue {pending, delayed, working, dead, rate}; rate is text, tasks a second
]]
local prefix = KEYS[1]
-- @include time
-- @include sure
-- @include pace
local pending = {}
for _, lane in ipairs(sure('SMEMBERS', prefix .. 'lanes')) do
  local queue = string.match(lane, '^[^/]*')
  for priority = 0, 2 do
    local waiting = sure('LLEN', prefix .. 'ready:' .. priority .. ':' .. lane)
    pending[queue] = (pending[queue] or 0) + waiting
  end
end
local counts = {}
for i, queue in ipairs(ARGV) do
  counts[i] = {
    pending[queue] or 0,
    sure('ZCARD', prefix .. 'delayed:' .. queue),
    sure('ZCARD', prefix .. 'leases:' .. queue),
    sure('ZCOUNT', prefix .. 'dead:' .. queue, '(' .. at(now - DEAD_TTL), '+inf'),
    pace(queue),
  }
end
return counts
