--[[
served: tell which lanes live consumers serve.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] lanes

RETURNS for each the seconds since no live consumer serves it, as text; '' if none is known
]]
local prefix, ages = KEYS[1], {}
-- @include time, call_or_reset
for i, lane in ipairs(ARGV) do
  local last = call_or_reset('ZSCORE', prefix .. 'served', lane)
  ages[i] = last and at(math.max(0, now - tonumber(last))) or ''
end
return ages
