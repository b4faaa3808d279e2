--[[
remove_schedule: forget a schedule.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again     '1' if the call may have been carried out before
ARGV[2] schedule  its name

RETURNS 1; 0 if there is none, or schedulers that run declare it in their code
]]
local prefix, again, schedule = KEYS[1], ARGV[1], ARGV[2]
-- @include call_or_reset, kept_slot, slot_holders, schedule_changes

local kept = read_slot(schedule)
if not kept.last then
  return again == '1' and call_or_reset('ZSCORE', prefix .. 'removed_schedules', schedule) and 1 or 0
end
if kept.put == '' and newest_live(kept.holders) >= 0 then return 0 end
redis.call('DEL', kept.key)
note_change(schedule, true)
return 1
