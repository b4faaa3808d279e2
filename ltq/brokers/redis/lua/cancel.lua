--[[
cancel: make a task final as cancelled, wherever it is, and tell the worker that runs it.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again       '1' if this call may have been carried out before, else ''
ARGV[2] id          the task
ARGV[3] result_ttl  seconds its state is kept, if the task has no result_ttl of its own

RETURNS 'cancelled', 'final' (it was final already) or 'gone'
]]
local prefix, again, id, result_ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
-- @include call_or_reset, priorities, reindex, finalize

local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'task', 'queue', 'lane', 'priority',
  'worker', 'result_ttl')
if hash.err or not hash[1] or not (hash[2] or hash[3]) then
  local ended = again == '1' and redis.pcall('ZSCORE', prefix .. 'ended', id)
  return ended == '0' and 'cancelled' or 'gone'
end
local status, queue = hash[1], hash[3] or hash[2]
if status == 'pending' then
  call_or_reset('LREM', prefix .. 'ready:' .. priority_of(hash[5]) .. ':' .. (hash[4] or queue), 1, id)
elseif status == 'delayed' then
  call_or_reset('ZREM', prefix .. 'delayed:' .. queue, id)
  reindex('due', 'delayed:', queue)
elseif status == 'working' then
  call_or_reset('ZREM', prefix .. 'leases:' .. queue, id)
  reindex('lease_ends', 'leases:', queue)
  -- A user may have no right to channels: then the next heartbeat tells the worker.
  if hash[6] then redis.pcall('PUBLISH', prefix .. 'revoked:' .. hash[6], id) end
else
  return again == '1' and status == 'cancelled' and 'cancelled' or 'final'
end
finalize(id, state_ttl(hash[7] or result_ttl, result_ttl), 0, 'cancelled')
return 'cancelled'
