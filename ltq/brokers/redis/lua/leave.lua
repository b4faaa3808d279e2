--[[
leave: forget a worker that has ended. If it was the last one here, its lanes are not served any more.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] worker  its name
ARGV[2...] lanes

RETURNS how many lanes are no longer served because of that
]]
local prefix, worker = KEYS[1], ARGV[1]
-- @include time, call_or_reset
-- @constant JUST_NOW

redis.call('DEL', prefix .. 'worker:' .. worker)
call_or_reset('ZREM', prefix .. 'workers', worker)
for _, other in ipairs(call_or_reset('ZRANGE', prefix .. 'workers', 0, -1)) do
  if redis.call('EXISTS', prefix .. 'worker:' .. other) == 1 then return 0 end
end
local ended = 0
for i = 2, #ARGV do
  local last = call_or_reset('ZSCORE', prefix .. 'served', ARGV[i])
  if last and tonumber(last) > now then
    call_or_reset('ZADD', prefix .. 'served', at(now - JUST_NOW), ARGV[i])
    ended = ended + 1
  end
end
return ended
