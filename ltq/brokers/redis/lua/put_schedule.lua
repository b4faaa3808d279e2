--[[
put_schedule: keep a schedule, in the place of one with the same name that was put before.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule  its name
ARGV[2] spec      its expression, zone and task, as in `fire`
ARGV[3] due       its first slot from now on
ARGV[4] put       the digest of all that it says
ARGV[5] plan      what it says beside the arguments, as JSON
ARGV[6] body      the encoded arguments
ARGV[7] queue     where its tasks wait

RETURNS 1; 0 if schedulers that run declare this name in their code
]]
local prefix, schedule, spec, due = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local put, plan, body, queue = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
-- @include time, call_or_reset, kept_slot, slot_holders, schedule_changes

local kept = read_slot(schedule)
if kept.put == put then return 1 end
if kept.last and kept.put == '' and newest_live(kept.holders) >= 0 then return 0 end
local second = math.floor(now)
if not kept.last then
  kept.last, kept.due = second, due
elseif kept.spec ~= spec then
  -- What passes during a pause is not left undone.
  kept.last = kept.paused and math.max(kept.last, second) or handover(kept, true)
  kept.due = kept.last >= second and due or kept.last + 1 -- an earlier one says that a slot may be undone
end
kept.spec, kept.holders, kept.stays = spec, '', true
keep_slot(kept)
redis.call('HSET', kept.key, 'put', put, 'plan', plan, 'body', body)
redis.call('PERSIST', kept.key)
call_or_reset('SADD', prefix .. 'lanes', queue)
note_change(schedule)
return 1
