--[[
fire: enqueue the task of one slot of a schedule and keep the slot, unless it has been fired already.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule    its name
ARGV[2] spec        what the schedule says, as text: if it changes, a new schedule begins
ARGV[3] after       the last slot, as far as the caller knows; '' to read it, or to begin now
ARGV[4] slot        Unix seconds
ARGV[5] due         when the slot after that is due: until shortly after it the spec owns the schedule
ARGV[6...] group    a group of one task, as in `send`; nothing if the slot passes without a task

RETURNS {last, answer, new_lanes}: the last slot; the answer; how many of the lanes are new. The answer
        is '' (nothing to fire: it was read, or another call fired), 'other' (the schedule belongs to
        another spec), 'passed', or the answer of `send`. With 'full' the slot is not kept.
]]
local prefix, schedule, spec, after, slot, due = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = prefix .. 'slot:' .. schedule
-- @include time, call_or_reset
-- @constant SLOT_TTL, SLOT_OWNED, SLOT_AHEAD

local function keep(kept_slot)
  call_or_reset('HSET', key, 'spec', spec, 'last', kept_slot, 'due', due)
  redis.call('EXPIREAT', key, string.format('%.0f', tonumber(due) + SLOT_TTL))
  return tonumber(kept_slot)
end

local kept = call_or_reset('HMGET', key, 'spec', 'last', 'due')
local last = tonumber(kept[2] or '')
if last and last > now + SLOT_AHEAD then last = nil end -- kept by a clock that was wrong
local is_own = last and kept[1] == spec
if after == '' then return { is_own and last or keep(math.floor(now)), '', 0 } end
if last and not is_own and now < (tonumber(kept[3] or '') or 0) + SLOT_OWNED then
  return { last, 'other', 0 }
end
if is_own and last ~= tonumber(after) then return { last, '', 0 } end
if #ARGV < 6 then return { keep(slot), 'passed', 0 } end

-- @include group, ready_batch, send
local group = read_group(6)
local answer = send_task(group, ARGV[group.first_id], ARGV[group.last_body], '')
flush_ready()
if answer == 'full' then return { tonumber(after), answer, count_new_lanes() } end
return { keep(slot), answer, count_new_lanes() }
