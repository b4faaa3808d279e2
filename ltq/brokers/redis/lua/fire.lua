--[[
fire: enqueue the task of one slot of a schedule, unless somebody did, and keep the slot.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule    its name
ARGV[2] spec        text of what it says: with another one it is another schedule
ARGV[3] after       the slot kept, as the caller knows it; '' to ask for it, or to begin now
ARGV[4] slot        Unix seconds
ARGV[5] due         when the slot after that is due: until shortly after it the spec is the caller's
ARGV[6...] group    a group as of `send`, of one task; nothing to let the slot pass

RETURNS {last, answer, new_lanes}: the slot kept; what became of this one; how many of the lanes nothing
        was sent to before. The answer is '' (not this call's to fire), 'other' (the schedule belongs
        to another spec), 'passed', or what `send` answers; with 'full' the slot is not kept.
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
