--[[
changed_schedules: read the schedules that were changed after a certain change.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of plans and bodies; the reply ends with the schedule that reaches it
ARGV[2] after       the number of a change; 0 for all
ARGV[3] limit       most schedules of a reply

RETURNS {records, gone, latest, more}: the schedules, each as {name, spec, last, put, plan, body, paused,
        resumed, fired}; the names of those that were removed; the number of the last change that is taken
        in; and 1 if there are later ones.
]]
local prefix, most_bytes, after, limit = KEYS[1], tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
-- @include call_or_reset, schedule_changes, schedule_record

local found = call_or_reset('ZRANGE', prefix .. 'schedules', '(' .. after, '+inf', 'BYSCORE', 'LIMIT', 0,
  limit, 'WITHSCORES')
local records, gone, size, latest, more = {}, {}, 0, after, #found == 2 * limit
for i = 1, #found, 2 do
  if size >= most_bytes then
    more = true
    break
  end
  local record = read_record(found[i])
  if record then
    records[#records + 1], size = record, size + size_of(record)
  else -- it was declared in code, and is long overdue
    gone[#gone + 1] = found[i]
    redis.call('ZREM', prefix .. 'schedules', found[i])
  end
  latest = found[i + 1]
end
if not more then latest = newest_change() end
if tonumber(after) > 0 then
  local removed = call_or_reset('ZRANGE', prefix .. 'removed_schedules', '(' .. after, latest, 'BYSCORE')
  for _, name in ipairs(removed) do gone[#gone + 1] = name end
end
return { records, gone, tonumber(latest), more and 1 or 0 }
