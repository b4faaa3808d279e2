--[[
fire: enqueue the task of one slot of a schedule, unless somebody did, and keep the slot.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] schedule  its name
ARGV[2] spec      text of what it says: another one makes it another schedule
ARGV[3] after     the slot kept, as the caller knows it; '' to ask for it, or begin now
ARGV[4] slot      Unix seconds
ARGV[5] due       when the slot after that is due: until shortly after it the spec is the caller's
ARGV    a group as of `send`, of one task; nothing to let the slot pass

RETURNS the slot kept, what became of it, and 1 if nothing was sent to the lane before.
        That is '' (not this call's to fire), 'other' (the schedule is another spec's), 'passed',
        or what `send` answers; with 'full' the slot is not kept.
]]
local prefix, again, schedule, spec = KEYS[1], '', ARGV[1], ARGV[2]
local key = prefix .. 'slot:' .. schedule
-- @include time
-- @include call_or_reset
-- @include enqueue_ready
-- @include ready_batch
-- @include delay
-- @include send

local LIFE, PATIENCE, DAY = 2592000, 60, 86400
local function keep(slot)
  call_or_reset('HSET', key, 'spec', spec, 'last', slot, 'due', ARGV[5])
  redis.call('EXPIREAT', key, string.format('%.0f', tonumber(ARGV[5]) + LIFE))
  return tonumber(slot)
end

local kept = call_or_reset('HMGET', key, 'spec', 'last', 'due')
local last = tonumber(kept[2] or '')
if last and last > now + DAY then last = nil end -- kept by a clock that was wrong
local is_own = last and kept[1] == spec
if ARGV[3] == '' then return { is_own and last or keep(math.floor(now)), '', 0 } end
if last and not is_own and now < (tonumber(kept[3] or '') or 0) + PATIENCE then
  return { last, 'other', 0 }
end
if is_own and last ~= tonumber(ARGV[3]) then return { last, '', 0 } end

local answer = 'passed'
if #ARGV > 5 then
  local queue, lane, priority, delay, eta, conditions = unpack(ARGV, 6, 11)
  answer = send(ARGV[#ARGV - 1], ARGV[#ARGV], queue, lane, priority, delay, eta, conditions,
    unpack(ARGV, 14, #ARGV - 2))
  flush_pushed()
  if answer == 'full' then return { tonumber(ARGV[3]), answer, is_new } end
end
return { keep(ARGV[4]), answer, is_new }
