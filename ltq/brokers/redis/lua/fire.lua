--[[
fire: enqueue the tasks of slots of schedules and keep the slots, each unless it has been fired already.

KEYS[1] prefix        of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] slots      for each slot: schedule, spec, after, slot, due, scheduler, since, leaves, put, tasks;
        with `tasks` 1 then a group of one task, as in `send`; with 0 the slot passes without a task.
        spec: what the schedule says, as text. after: the last slot, as far as the caller knows; '' to read
        it, or to begin now. slot: Unix seconds. due: when the slot after that is due. scheduler: the run
        that asks, or ''. since: when it declared the schedule; 0 if this call does. leaves: '1' if it ends.
        put: the digest of a schedule that was put, or ''.

RETURNS {answers, new_queues}: for each slot {last, answer, since}: the last slot; the answer; without
        `after`, when the run declared the schedule. The answer is '' (it was read, or another call has
        fired), 'other' (schedulers with another spec hold the schedule), 'taken_over' (it belonged to
        another spec until now), 'gone' (something else was put since, or it was removed), 'paused',
        'passed', or the answer of `send`. With 'full' the slot is not kept. And how many of the queues are
        new.
]]
local prefix = KEYS[1]
-- @include time, group, ready_batch, send, kept_slot, slot_holders, fire_or_pass

-- Let another spec hold the schedule from now on.
local function take_over(slot, kept, since)
  kept.last = handover(kept, slot.since == 0)
  kept.spec, kept.due, kept.holders = slot.spec, kept.last + 1, joined('', slot.scheduler, since)
  keep_slot(kept)
  return { kept.last, 'taken_over', since }
end
local function fire_put(slot, kept)
  if kept.put ~= slot.put then return { kept.last or 0, 'gone', '0' } end
  if kept.last ~= tonumber(slot.after) then return { kept.last or 0, '', '0' } end
  return fire_or_pass(slot, kept, '0')
end
local function fire_slot(slot)
  local kept = read_slot(slot.schedule)
  if slot.put ~= '' then return fire_put(slot, kept) end
  if slot.leaves then return { kept.last or 0, '', '0' } end
  local since = slot.since_text
  if slot.after == '' and slot.since == 0 then since = declared_now(kept.holders) end
  if kept.put ~= '' then return { kept.last or 0, 'other', since } end
  if kept.last and kept.spec ~= slot.spec then
    if newest_live(kept.holders) >= tonumber(since) then return { kept.last, 'other', since } end
    return take_over(slot, kept, since)
  end
  local known = kept.holders
  kept.holders = joined(known, slot.scheduler, since)
  if kept.last and kept.last ~= tonumber(slot.after) then
    if kept.holders ~= known then keep_slot(kept) end
    return { kept.last, '', since }
  end
  if slot.after ~= '' then return fire_or_pass(slot, kept, since) end
  kept.spec, kept.last, kept.due = slot.spec, math.floor(now), slot.due
  keep_slot(kept)
  return { kept.last, '', since }
end

local answers, i = {}, 1
while i <= #ARGV do
  local slot = { schedule = ARGV[i], spec = ARGV[i + 1], after = ARGV[i + 2], slot = ARGV[i + 3],
    due = ARGV[i + 4], scheduler = ARGV[i + 5], since_text = ARGV[i + 6], leaves = ARGV[i + 7] == '1',
    put = ARGV[i + 8] }
  slot.since = tonumber(slot.since_text)
  hear(slot.scheduler, slot.leaves)
  if ARGV[i + 9] == '1' then slot.group = read_group(i + 10) end
  i = slot.group and slot.group.last_body + 1 or i + 10
  local answer = fire_slot(slot)
  if slot.after ~= '' then answer[3] = '0' end
  answers[#answers + 1] = answer
end
flush_ready()
return { answers, count_new_queues() }
