--[[
stats: count the tasks of queues, at one moment, and how quickly they end.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV    queues

RETURNS for each queue {pending, delayed, working, dead, rate}; rate is text, tasks a second
]]
local prefix = KEYS[1]
-- @include time
-- @include call_or_reset
-- @include throughput
local pending = {}
for _, lane in ipairs(call_or_reset('SMEMBERS', prefix .. 'lanes')) do
  local queue = string.match(lane, '^[^/]*')
  for priority = 0, 2 do
    local waiting = call_or_reset('LLEN', prefix .. 'ready:' .. priority .. ':' .. lane)
    pending[queue] = (pending[queue] or 0) + waiting
  end
end
local counts = {}
for i, queue in ipairs(ARGV) do
  counts[i] = {
    pending[queue] or 0,
    call_or_reset('ZCARD', prefix .. 'delayed:' .. queue),
    call_or_reset('ZCARD', prefix .. 'leases:' .. queue),
    call_or_reset('ZCOUNT', prefix .. 'dead:' .. queue, '(' .. at(now - DEAD_TTL), '+inf'),
    throughput(queue),
  }
end
return counts
