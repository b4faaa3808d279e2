--[[
announce: remember workers, and forget the names of those that are gone.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] workers  of each: its name, the seconds after which it is gone if it is not seen again, and
        what it says of itself

RETURNS how many workers there are
]]
local prefix = KEYS[1]
-- @include time, call_or_reset, free_first
-- @constant ANNOUNCE_AGAIN

if #ARGV > 0 then free_first() end
call_or_reset('ZREMRANGEBYSCORE', prefix .. 'workers', '-inf', stamp)
for i = 1, #ARGV, 3 do
  local name, gone_after, entry = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  call_or_reset('ZADD', prefix .. 'workers', at(now + gone_after + 2 * ANNOUNCE_AGAIN), name)
  redis.call('SET', prefix .. 'worker:' .. name, entry, 'PX', math.max(1, math.floor(gone_after * 1000)))
end
return #ARGV / 3
