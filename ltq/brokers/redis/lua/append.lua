--[[
append: add items to the stream of a running task. Those of an earlier delivery go.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id        the task
ARGV[2] token     of its lease
ARGV[3] first     int, how many items of this delivery came before these
ARGV[4] most      int, how many are kept
ARGV[5...] items  those that are there already are not added again

RETURNS 1, or 0 if the lease is lost
]]
local prefix, id, token, first, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
-- @include call_or_reset, claimed_at
-- @constant ITEMS_TTL
local key, list = prefix .. 'task:' .. id, prefix .. 'items:' .. id
local hash = redis.pcall('HMGET', key, 'status', 'token', 'dequeue_count', 'items', 'last_dequeue_time')
if hash.err or hash[1] ~= 'working' or hash[2] ~= token then return 0 end
local attempt, total = string.match(hash[4] or '', '^(%d+) (%d+)$')
total = tonumber(total)
if attempt ~= hash[3] or first > total then -- another delivery, or the server has lost some
  redis.call('DEL', list)
  total = first
end
local begin, last = 5 + total - first, #ARGV
if begin > last then return 1 end
for i = begin, last, 1000 do
  call_or_reset('RPUSH', list, unpack(ARGV, i, math.min(i + 999, last)))
end
total = first + last - 4
if total > most then call_or_reset('LTRIM', list, -most, -1) end
redis.call('EXPIRE', list, ITEMS_TTL) -- in case that its task is lost
redis.call('HSET', key, 'items', hash[3] .. ' ' .. string.format('%.0f', total), 'last_dequeue_time',
  claimed_at(hash[5], token))
return 1
