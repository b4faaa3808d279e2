-- bury_unusable(id, queue, why): remove a task whose hash cannot be used. A dead letter says why.
-- @include bury
local function bury_unusable(id, queue, why)
  bury(id, queue, 'status', 'rejected', 'error', why)
  redis.call('DEL', prefix .. 'task:' .. id)
end
