-- reindex(index, kind, queue): `index` names queues by the earliest moment in their `kind` set; set
-- it to what the set says now. It may be early (a heartbeat moves leases only), never late.
local function reindex(index, kind, queue)
  local head = call_or_reset('ZRANGE', prefix .. kind .. queue, 0, 0, 'WITHSCORES')
  call_or_reset('ZREM', prefix .. index, queue)
  if head[2] then call_or_reset('ZADD', prefix .. index, head[2], queue) end
end
