--[[
pause: let nothing of queues be claimed until they are resumed.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] queues

RETURNS how many of them were not paused before
]]
local prefix, count = KEYS[1], 0
-- @include call_or_reset, free_first
free_first() -- a server whose memory is full is a reason to pause
for _, queue in ipairs(ARGV) do
  call_or_reset('SADD', prefix .. 'lanes', queue)
  count = count + call_or_reset('SADD', prefix .. 'paused', queue)
end
return count
