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
-- @include ready
-- @include bury
-- @include index

local function check(hash, token)
  if hash.err or not hash[1] then return 'gone' end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if hash[2] ~= token then return 'stale' end
  if hash[1] ~= 'working' then return 'ok' end
end

local function finish(id, queue, status, ttl, flags, ...)
  local key = prefix .. 'task:' .. id
  if string.find(flags, 'd', 1, true) then bury(key, queue, id, 'status', status, ...) end
  if ttl <= 0 then return redis.call('DEL', key) end
  redis.call('HDEL', key, 'body', 'ctx', 'lane', 'priority', 'progress', 'max_tries', 'result_ttl',
    'max_deliveries', 'error', 'error_type', 'traceback')
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(ttl * 1000)))
end

local function requeue(id, queue, hash, status, delay, flags, ...)
  local key = prefix .. 'task:' .. id
  local lane, priority = hash[3] or queue, hash[4] or '1'
  redis.call('HDEL', key, 'progress', 'error', 'error_type', 'traceback')
  if string.find(flags, 't', 1, true) then
    redis.call('HSET', key, 'tries', string.format('%.0f', (tonumber(hash[5]) or 0) + 1))
  end
  if status == 'delayed' then
    redis.call('HSET', key, 'status', status, ...)
    return postpone(queue, lane, id, now + delay)
  end
  local count = string.format('%.0f', (tonumber(hash[6]) or 0) + 1)
  redis.call('HSET', key, 'status', status, 'requeue_count', count, 'last_requeue_time', stamp, ...)
  push(lane, priority, id, string.find(flags, 'f', 1, true))
end

local answers, queues, i = {}, {}, 1
while i <= #ARGV do
  local id, queue, token, status, seconds, flags, count = unpack(ARGV, i, i + 6)
  local last = i + 6 + tonumber(count)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token', 'lane', 'priority',
    'tries', 'requeue_count')
  local answer = check(hash, token)
  if not answer then
    answer = 'ok'
    redis.call('ZREM', prefix .. 'leases:' .. queue, id)
    queues[queue] = true
    if status == 'pending' or status == 'delayed' then
      requeue(id, queue, hash, status, tonumber(seconds), flags, unpack(ARGV, i + 7, last))
    else
      finish(id, queue, status, tonumber(seconds), flags, unpack(ARGV, i + 7, last))
    end
  end
  table.insert(answers, answer)
  i = last + 1
end
flush_pushed()
for queue in pairs(queues) do reindex('expiry', 'leases:', queue) end
return answers
