--[[
adopt_schedule: keep a schedule as another store kept it, with its last slot.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule  its name
ARGV[2] spec      its expression, zone and task, as in `fire`
ARGV[3] due       the first slot after the last one
ARGV[4] put       the digest of all that it says
ARGV[5] plan      what it says beside the arguments, as JSON
ARGV[6] body      the encoded arguments
ARGV[7] queue     where its tasks wait
ARGV[8] last      the last slot that was fired or passed there
ARGV[9] fired     the last one that enqueued a task, or ''
ARGV[10] paused   '1' if it is paused, else ''
ARGV[11] resumed  when it last was resumed, or 0

RETURNS 1; 0 if another one with its name was put, or schedulers that run declare it in their code
]]
local prefix, schedule, spec, due, put = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local plan, body, queue, last, fired = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local paused, resumed = ARGV[10], ARGV[11]
-- @include call_or_reset, kept_slot, slot_holders, schedule_changes

local kept = read_slot(schedule)
if kept.last and kept.put == '' and newest_live(kept.holders) >= 0 then return 0 end
if kept.put ~= '' and kept.put ~= put then return 0 end
if kept.put == put and not kept.paused then return 1 end
redis.call('DEL', kept.key)
kept.spec, kept.last, kept.due, kept.holders, kept.stays = spec, last, due, '', true
kept.fired = fired ~= '' and fired or nil
keep_slot(kept)
redis.call('HSET', kept.key, 'put', put, 'plan', plan, 'body', body, 'resumed', resumed)
if paused == '1' then redis.call('HSET', kept.key, 'paused', '1') end
call_or_reset('SADD', prefix .. 'lanes', queue)
note_change(schedule)
return 1
