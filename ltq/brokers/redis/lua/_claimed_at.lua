-- claimed_at(last_dequeue_time, token): when a task was claimed last, as text. A task that was sent without
-- options has only a token from its first claim, which says so, until something else is kept of it; of one
-- with but a `ctx` the time is empty. See `_lease_plain.lua` and `_give.lua`.
local function claimed_at(last_dequeue_time, token)
  if last_dequeue_time and last_dequeue_time ~= '' then return last_dequeue_time end
  return string.format('%.6f', (tonumber(token) or 0) / 1e6)
end
