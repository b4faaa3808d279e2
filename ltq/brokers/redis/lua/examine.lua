--[[
examine: tell what keys hold, and which tasks have lost their place. It only reads.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] thorough  '1' to look for pending tasks in their lists, which takes long, else ''
ARGV[2...] names   of keys, without the prefix

RETURNS for each {type, ttl, status, placed}: the type as Redis names it; milliseconds until it
        expires, -1 if it does not; a task's status or ''; 0 if it has lost its place, else 1
]]
local prefix, thorough = KEYS[1], ARGV[1]
-- @include priorities

local function score(key, id)
  local reply = redis.pcall('ZSCORE', key, id)
  return type(reply) == 'string'
end
local has_place = {}
function has_place.working(id, queue) return score(prefix .. 'leases:' .. queue, id) end
function has_place.delayed(id, queue) return score(prefix .. 'delayed:' .. queue, id) end
function has_place.pending(id, _, lane, priority)
  if thorough ~= '1' then return true end
  local member = priority .. ':' .. lane
  local skipped = redis.pcall('HGET', prefix .. 'skipped:' .. member, id)
  local rank = (type(skipped) == 'string' and tonumber(skipped) or 0) + 1 -- of the first that is not skipped
  local reply = redis.pcall('LPOS', prefix .. 'ready:' .. member, id, 'RANK', rank)
  return type(reply) == 'number'
end

local seen = {}
for i = 2, #ARGV do
  local key = prefix .. ARGV[i]
  local id = string.match(ARGV[i], '^task:(.*)$')
  local hash = id and redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'task', 'queue', 'lane',
    'priority')
  local status, placed = '', 1
  if hash and not hash.err and hash[1] and hash[2] then
    status = hash[1]
    local queue = hash[3] or hash[2]
    local check = has_place[status]
    if check and not check(id, queue, hash[4] or queue, priority_of(hash[5])) then placed = 0 end
  end
  seen[i - 1] = { redis.call('TYPE', key).ok, redis.call('PTTL', key), status, placed }
end
return seen
