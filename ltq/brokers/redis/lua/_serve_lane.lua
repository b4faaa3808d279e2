-- serve_lane(claim, member, limit, passes_on): lease what the ready list `member` ("<priority>:<lane>") may
-- give now, under the lane's limit if it has one. Where tasks stay: returns when the limit lets the lane
-- start more, or wakes another consumer of the lane if it `passes_on`. `claim` is what `new_claim` made.
-- @include time, call_or_reset, enqueue_ready, lease, limits
local function serve_lane(claim, member, limit, passes_on)
  local lane, ready = string.sub(member, 3), prefix .. 'ready:' .. member
  local wanted, before = claim.limit - #claim.tasks, #claim.tasks
  local allowed = allowance(lane, limit, wanted)
  local is_complete = allowed <= 0 or lease_from(claim, ready, lane, allowed)
  spend(lane, limit, claim.tasks, before)
  if call_or_reset('LLEN', ready) == 0 then
    call_or_reset('ZREM', prefix .. 'active', member)
    return
  end
  if #claim.tasks > before then
    local rank = tonumber(string.sub(member, 1, 1)) * 1e10 + now
    call_or_reset('ZADD', prefix .. 'active', 'XX', at(rank), member)
  end
  if is_complete and allowed < wanted then return next_start(lane, limit) end
  if passes_on then wake(lane) end
end
