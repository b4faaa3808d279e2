-- claimed_at(last_dequeue_time, token): when a task was claimed last, as text. A task that was sent without
-- options has only a token from its first claim, which says so, until something else is kept of it. See
-- `_lease_plain.lua`.
local function claimed_at(last_dequeue_time, token)
  return last_dequeue_time or string.format('%.6f', (tonumber(token) or 0) / 1e6)
end
