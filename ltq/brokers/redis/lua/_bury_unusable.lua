-- bury_unusable(id, queue, why, history): remove a task whose hash cannot be used. A dead letter says why.
-- With `history` it is counted there. Call flush_history() at the end.
-- @include bury, history
-- @rare
local function bury_unusable(id, queue, why, history)
  bury(id, queue, 'status', 'rejected', 'error', why)
  redis.call('DEL', prefix .. 'task:' .. id, prefix .. 'items:' .. id)
  if history then note_count(queue, 'rejected', 1) end
end
