--[[
progress: show how far a running task is.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id        the task
ARGV[2] token     of its lease
ARGV[3] progress  JSON

RETURNS 1, or 0 if the lease is lost
]]
local key = KEYS[1] .. 'task:' .. ARGV[1]
local hash = redis.pcall('HMGET', key, 'status', 'token')
if hash.err or hash[1] ~= 'working' or hash[2] ~= ARGV[2] then return 0 end
redis.call('HDEL', key, 'progress') -- under OOM a script may write if its first write frees
redis.call('HSET', key, 'progress', ARGV[3])
return 1
