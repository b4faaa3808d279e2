-- reindex(index, kind, queue): set the queue's score in `index` ("due" or "lease_ends") to the earliest time
-- in its `kind` set ("delayed:" or "leases:"). Later the score may be too early, as a heartbeat moves
-- only leases, but it is never too late.
-- @include call_or_reset
local function reindex(index, kind, queue)
  local head = call_or_reset('ZRANGE', prefix .. kind .. queue, '0', '0', 'WITHSCORES')
  call_or_reset('ZREM', prefix .. index, queue)
  if head[2] then call_or_reset('ZADD', prefix .. index, head[2], queue) end
end
