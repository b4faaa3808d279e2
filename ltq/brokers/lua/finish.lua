--[[
finish: record what became of deliveries, each fenced by its lease's token.

A final status ends the task: its body goes, its state stays for a while. 'pending' and 'delayed'
put it back. A repeated outcome (same token, recorded already) is 'ok' and changes nothing.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV    a group for each outcome:
        id, queue, token, status, seconds, flags, count, then `count` fields and values to set.
        seconds: how long a final state stays, or the delay of 'delayed'.
        flags: 'd' keep as a dead letter, 't' uses up a try, 'f' to the front of its lane.

RETURNS for each outcome 'ok', 'stale', 'cancelled' or 'gone'
]]
local prefix = KEYS[1]
-- @include time
-- @include sure
-- @include lineup
-- @include ready
-- @include later
-- @include bury
-- @include index
-- @include final
-- @include receipt
-- @include pace

local function finish(id, queue, token, status, ttl, flags, ...)
  local key = prefix .. 'task:' .. id
  if string.find(flags, 'd', 1, true) then bury(key, queue, id, 'status', status, ...) end
  close(key, ttl, 0, token, status, ...)
end

local function requeue(id, queue, token, status, delay, flags, ...)
  local key = prefix .. 'task:' .. id
  local hash = redis.call('HMGET', key, 'lane', 'priority', 'tries', 'requeue_count')
  local lane, priority = hash[1] or queue, hash[2] or '1'
  redis.call('HDEL', key, 'progress', 'error', 'error_type', 'traceback')
  if string.find(flags, 't', 1, true) then
    redis.call('HSET', key, 'tries', string.format('%.0f', (tonumber(hash[3]) or 0) + 1))
  end
  if status == 'delayed' then
    redis.call('HSET', key, 'status', status, 'returned', token, ...)
    return postpone(queue, lane, id, now + tonumber(delay))
  end
  local count = string.format('%.0f', (tonumber(hash[4]) or 0) + 1)
  redis.call('HSET', key, 'status', status, 'returned', token, 'requeue_count', count,
    'last_requeue_time', stamp, ...)
  push(lane, priority, id, string.find(flags, 'f', 1, true))
end

-- All checks come first, then leases go, which frees, and only then anything is written.
local answers, accepted, over, seen, i = {}, {}, {}, {}, 1
while i <= #ARGV do
  local id, queue, token = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token', 'returned')
  local answer = check(id, hash, token, ARGV[i + 3])
  if not answer and not seen[id] then
    seen[id] = true
    accepted[#accepted + 1] = i
    over[queue] = over[queue] or {}
    table.insert(over[queue], id)
  end
  answers[#answers + 1] = answer or 'ok'
  i = i + 7 + tonumber(ARGV[i + 6])
end
for queue, ids in pairs(over) do
  sure('ZREM', prefix .. 'leases:' .. queue, unpack(ids))
  reindex('expiry', 'leases:', queue)
end
local ended = {}
for _, first in ipairs(accepted) do
  local id, queue, token, status, seconds, flags, count = unpack(ARGV, first, first + 6)
  local record = is_return[status] and requeue or finish
  record(id, queue, token, status, seconds, flags, unpack(ARGV, first + 7, first + 6 + count))
  if not is_return[status] then ended[queue] = (ended[queue] or 0) + 1 end
end
flush_pushed()
for queue, count in pairs(ended) do mark(queue, count) end
return answers
