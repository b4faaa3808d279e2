--[[
endings: read endings of tasks of workflows.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  int, bytes from which no further one is read
ARGV[2] older_than  seconds since the task ended
ARGV[3] limit       int, most endings

RETURNS them, see `_ending.lua`
]]
local prefix, most_bytes, older_than, limit = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- @include time, call_or_reset
-- @constant MOST_LOOKED
local found, bytes, looked, cursor = {}, 0, 0, '0'
repeat
  local page = call_or_reset('HSCAN', prefix .. 'endings', cursor, 'COUNT', '100')
  cursor = page[1]
  for i = 2, #page[2], 2 do
    local ending = page[2][i]
    local moment = tonumber(string.match(ending, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)'))
    looked = looked + 1
    if moment and moment <= now - older_than and #found < limit and (bytes < most_bytes or #found == 0) then
      found[#found + 1], bytes = ending, bytes + #ending
    end
  end
until cursor == '0' or #found >= limit or bytes >= most_bytes or looked >= MOST_LOOKED
return found
