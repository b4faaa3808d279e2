--[[
serve: remember that a live consumer serves lanes, and the names of their queues.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] duration  seconds from now
ARGV[2...] lanes

RETURNS how many lanes there are
]]
local prefix, duration = KEYS[1], tonumber(ARGV[1])
-- @include time, call_or_reset, free_first, presence
-- @constant SERVED_TTL

free_first()
local lanes, known = {}, {}
for i = 2, #ARGV do
  local queue = string.match(ARGV[i], '^[^/]*')
  if not known[queue] then call_or_reset('SADD', prefix .. 'lanes', queue) end
  lanes[#lanes + 1], known[queue] = ARGV[i], true
end
call_or_reset('ZREMRANGEBYSCORE', prefix .. 'served', '-inf', at(now - SERVED_TTL))
say_served(lanes, duration)
return #lanes
