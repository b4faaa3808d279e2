--[[
progress: show how far a running task is.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id        the task
ARGV[2] token     of its lease
ARGV[3] progress  JSON

RETURNS 1, or 0 if the lease is lost
]]
local prefix, id, token, progress = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
-- @include claimed_at, free_first
local key = prefix .. 'task:' .. id
local hash = redis.pcall('HMGET', key, 'status', 'token', 'last_dequeue_time')
if hash.err or hash[1] ~= 'working' or hash[2] ~= token then return 0 end
free_first()
redis.call('HSET', key, 'progress', progress, 'last_dequeue_time', claimed_at(hash[3], token))
return 1
