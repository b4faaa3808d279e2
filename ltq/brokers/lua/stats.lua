--[[
stats: count the tasks of queues, at one moment.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV    queues

RETURNS for each queue {pending, delayed, working, dead}
]]
local prefix = KEYS[1]
-- @include time
local pending = {}
for _, lane in ipairs(redis.call('SMEMBERS', prefix .. 'lanes')) do
  local queue = string.match(lane, '^[^/]*')
  for priority = 0, 2 do
    local waiting = redis.call('LLEN', prefix .. 'ready:' .. priority .. ':' .. lane)
    pending[queue] = (pending[queue] or 0) + waiting
  end
end
local counts = {}
for i, queue in ipairs(ARGV) do
  counts[i] = {
    pending[queue] or 0,
    redis.call('ZCARD', prefix .. 'delayed:' .. queue),
    redis.call('ZCARD', prefix .. 'leases:' .. queue),
    redis.call('ZCOUNT', prefix .. 'dead:' .. queue, '(' .. at(now - DEAD_TTL), '+inf'),
  }
end
return counts
