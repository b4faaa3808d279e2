--[[
cancel: make a task final as cancelled, wherever it is, and tell the worker that runs it.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id          the task
ARGV[2] result_ttl  seconds its state stays, where it names none itself

RETURNS 'cancelled', 'final' (it was already) or 'gone'
]]
local prefix, id = KEYS[1], ARGV[1]
local key = prefix .. 'task:' .. id
-- @include time
-- @include index
-- @include final

local hash = redis.pcall('HMGET', key, 'status', 'task', 'queue', 'lane', 'priority', 'worker',
  'result_ttl')
if hash.err or not hash[1] then return 'gone' end
local status, queue = hash[1], hash[3] or hash[2]
if status == 'pending' then
  redis.call('LREM', prefix .. 'ready:' .. (hash[5] or '1') .. ':' .. (hash[4] or queue), 1, id)
elseif status == 'delayed' then
  redis.call('ZREM', prefix .. 'delayed:' .. queue, id)
  reindex('due', 'delayed:', queue)
elseif status == 'working' then
  redis.call('ZREM', prefix .. 'leases:' .. queue, id)
  reindex('expiry', 'leases:', queue)
  redis.call('PUBLISH', prefix .. 'revoked:' .. hash[6], id)
else
  return 'final'
end
close(key, hash[7] or ARGV[2], ARGV[2], 'cancelled')
return 'cancelled'
