-- serve_lane(claim, member, limit, passes_on): lease what the ready list `member` ("<priority>:<lane>") may
-- give now, within the limit of its lane, if there is one. If the limit held tasks back, it returns when the
-- lane may start more. If tasks stay for another reason and it `passes_on`, it wakes another consumer.
-- `claim` comes from `new_claim`.
-- @include call_or_reset, drop_lane, drop_void, enqueue_ready, lease, limits, skipped, wake
local function serve_lane(claim, member, limit, passes_on)
  local lane, ready, skips = string.sub(member, 3), prefix .. 'ready:' .. member, count_skipped(member) > 0
  local wanted, before = claim.limit - #claim.tasks, #claim.tasks
  local allowed = allowance(lane, limit, wanted)
  local is_complete = allowed <= 0 or lease_from(claim, member, lane, allowed, skips)
  spend(lane, limit, claim.tasks, before)
  if skips and drop_void(member) or not skips and call_or_reset('LLEN', ready) == 0 then
    call_or_reset('ZREM', prefix .. 'active', member)
    drop_lane(lane)
    return
  end
  if #claim.tasks > before then
    call_or_reset('ZADD', prefix .. 'active', 'XX', active_rank(string.sub(member, 1, 1)), member)
  end
  if is_complete and allowed < wanted then return next_start(lane, limit) end
  if passes_on then wake(lane) end
end
