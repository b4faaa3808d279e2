--[[
copy: copy a ready list, so that it can be read at one moment. A repeated call copies it again.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] member  "<priority>:<lane>" of the list
ARGV[2] unique  the name of the copy
ARGV[3] ttl     seconds after which the copy is deleted at the latest

RETURNS how many ids are in it
]]
local prefix, member, unique, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local ready, copied = prefix .. 'ready:' .. member, prefix .. 'copied:' .. unique
redis.call('DEL', copied)
if redis.call('TYPE', ready).ok ~= 'list' then return 0 end
redis.call('COPY', ready, copied)
redis.call('EXPIRE', copied, ttl)
return redis.call('LLEN', ready)
