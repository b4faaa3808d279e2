--[[
schedules: read what is known of schedules.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of plans and bodies; the reply ends with the schedule that reaches it
ARGV[2...] names

RETURNS for each name, or for the first ones, {name, spec, last, put, plan, body, paused, resumed, fired},
        or 0 if there is no such schedule
]]
local prefix, most_bytes, records, size = KEYS[1], tonumber(ARGV[1]), {}, 0
-- @include schedule_record

for i = 2, #ARGV do
  if size >= most_bytes and i > 2 then break end
  local record = read_record(ARGV[i])
  records[#records + 1] = record or 0
  size = size + (record and size_of(record) or 0)
end
return records
