--[[
pause_schedule: let no slot of a schedule be fired, or let them be fired again.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule  its name
ARGV[2] paused    '1', or '' to resume it

RETURNS 1; 0 if there is no such schedule
]]
local prefix, schedule, paused = KEYS[1], ARGV[1], ARGV[2]
-- @include time, kept_slot, schedule_changes

local kept = read_slot(schedule)
if not kept.last then return 0 end
local pauses = paused == '1'
if kept.paused == pauses then return 1 end
kept.stays, kept.resumed = pauses or kept.put ~= '', pauses and kept.resumed or now
keep_slot(kept)
if pauses then
  redis.call('HSET', kept.key, 'paused', '1')
  redis.call('PERSIST', kept.key)
else
  redis.call('HDEL', kept.key, 'paused')
  redis.call('HSET', kept.key, 'resumed', stamp)
end
note_change(schedule)
return 1
