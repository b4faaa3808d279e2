--[[
carried: remove endings of tasks of workflows.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] keys of the endings

RETURNS how many there were
]]
local prefix = KEYS[1]
-- @include call_or_reset
if #ARGV == 0 then return 0 end
return call_or_reset('HDEL', prefix .. 'endings', unpack(ARGV))
