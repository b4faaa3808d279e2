-- serve_lane(claim, member, limit, passes_on): lease what the ready list `member` ("<priority>:<lane>") may
-- give now, within the limit of its lane, if there is one. If the limit held tasks back, it returns when the
-- lane may start more. If tasks stay for another reason and it `passes_on`, it wakes another consumer.
-- `claim` is that of `claim.lua`.
-- @include call_or_reset, drop_lane, drop_void, enqueue_ready, lease, limits, wake
-- @rare
local function put_behind(member)
  call_or_reset('ZADD', prefix .. 'active', 'XX', active_rank(string.sub(member, 1, 1)), member)
end
-- @rare
local function wake_next(claim, lane)
  claim.is_left = true
  wake(lane)
end
local function serve_lane(claim, member, limit, passes_on)
  local lane = string.sub(member, 3)
  local skips = redis.call('EXISTS', prefix .. 'skipped:' .. member) == 1
  local wanted, before = claim.limit - #claim.ids, #claim.ids
  local allowed = wanted
  if limit then allowed = allowance(lane, limit, wanted) end
  local found = allowed > 0 and lease_from(claim, member, lane, allowed, skips) or 'more'
  if limit then spend(lane, limit, claim, before) end
  local is_empty = found == 'empty'
  if not (is_empty or skips) then is_empty = call_or_reset('LLEN', prefix .. 'ready:' .. member) == 0 end
  if skips then is_empty = drop_void(member) end
  if is_empty then
    call_or_reset('ZREM', prefix .. 'active', member)
    if string.find(lane, '/', 1, true) then drop_lane(lane) end
    return
  end
  if #claim.ids > before then put_behind(member) end
  if found ~= 'stopped' and allowed < wanted then return next_start(lane, limit) end
  if passes_on then wake_next(claim, lane) end
end
