-- serve_lane(claim, member, limit, passes_on): lease what the ready list `member` ("<priority>:<lane>") may
-- give now, within the limit of its lane, if there is one. If the limit held tasks back, it returns when the
-- lane may start more. If tasks stay for another reason and it `passes_on`, it wakes another consumer.
-- `claim` comes from `new_claim`.
-- @include call_or_reset, drop_lane, drop_void, enqueue_ready, lease, limits, skipped, wake
local function serve_lane(claim, member, limit, passes_on)
  local lane, ready, skips = string.sub(member, 3), prefix .. 'ready:' .. member, count_skipped(member) > 0
  local wanted, before = claim.limit - #claim.tasks, #claim.tasks
  local allowed = wanted
  if limit then allowed = allowance(lane, limit, wanted) end
  local found = allowed > 0 and lease_from(claim, member, lane, allowed, skips) or 'more'
  if limit then spend(lane, limit, claim.tasks, before) end
  local is_empty = found == 'empty' or not skips and call_or_reset('LLEN', ready) == 0
  if skips then is_empty = drop_void(member) end
  if is_empty then
    call_or_reset('ZREM', prefix .. 'active', member)
    drop_lane(lane)
    return
  end
  if #claim.tasks > before then
    call_or_reset('ZADD', prefix .. 'active', 'XX', active_rank(string.sub(member, 1, 1)), member)
  end
  if found ~= 'stopped' and allowed < wanted then return next_start(lane, limit) end
  if passes_on then wake(lane) end
end
