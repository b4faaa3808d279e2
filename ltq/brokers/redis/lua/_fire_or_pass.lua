-- fire_or_pass(slot, kept, since): fire a slot, or let it pass, unless its schedule is paused; return the
-- answer of `fire`.
-- @include send, kept_slot
local function fire_or_pass(slot, kept, since)
  if kept.paused then return { kept.last, 'paused', since } end
  local answer = 'passed'
  if slot.group then
    answer = send_task(slot.group, ARGV[slot.group.first_id], ARGV[slot.group.last_body], '')
    if answer == 'full' then return { tonumber(slot.after), answer, since } end
    kept.fired = slot.slot
  end
  kept.spec, kept.last, kept.due = slot.spec, slot.slot, slot.due
  keep_slot(kept)
  return { tonumber(slot.slot), answer, since }
end
