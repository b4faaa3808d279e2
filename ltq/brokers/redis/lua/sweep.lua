--[[
sweep: let delayed tasks that are due wait in their lanes, and take back what dead workers left.

KEYS[1] prefix          of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] limit           int, most tasks of each kind
ARGV[2] max_deliveries  int, deaths that bury a task which names no limit of its own
ARGV[3] result_ttl      seconds the state of a buried task stays, where it names none itself
ARGV[4] grace           seconds that leases last beyond their end

RETURNS {recovered, promoted, buried, lost}: `lost` ids had no usable hash
]]
local prefix = KEYS[1]
local limit, max_deliveries = tonumber(ARGV[1]), tonumber(ARGV[2])
local result_ttl, grace = tonumber(ARGV[3]), tonumber(ARGV[4])
-- @include time
-- @include call_or_reset
-- @include lease_end
-- @include enqueue_ready
-- @include ready_batch
-- @include bury
-- @include reindex
-- @include finalize
local recovered, promoted, buried, lost = 0, 0, 0, 0

local function again(id, queue, hash, ...)
  local count = string.format('%.0f', (tonumber(hash[4]) or 0) + 1)
  redis.call('HDEL', prefix .. 'task:' .. id, 'progress')
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'requeue_count', count,
    'last_requeue_time', stamp, ...)
  push(hash[2] or queue, hash[3] or '1', id)
end

local function promote(id, queue, hash)
  if hash[1] ~= 'delayed' then return end
  again(id, queue, hash)
  promoted = promoted + 1
end

local function recover(id, queue, hash)
  if hash[1] ~= 'working' then return end
  local deaths = (tonumber(hash[6]) or 0) + 1
  local token = string.format('%.0f', (tonumber(hash[5]) or 0) + 1)
  local died = string.format('%.0f', deaths)
  if deaths < (tonumber(hash[7]) or max_deliveries) then
    again(id, queue, hash, 'deaths', died, 'token', token)
    recovered = recovered + 1
    return
  end
  local key, life = prefix .. 'task:' .. id, lifetime(hash[8] or result_ttl, result_ttl)
  local text = 'killed its worker ' .. (deaths == 1 and 'once' or died .. ' times')
  buried = buried + 1
  bury(key, queue, id, 'status', 'rejected', 'error', text, 'deaths', died, 'token', token)
  close(key, life, -1, 'rejected', 'error', text, 'token', token)
end

local function move_on(id, queue, move)
  local key = prefix .. 'task:' .. id
  local hash = redis.pcall('HMGET', key, 'status', 'lane', 'priority', 'requeue_count', 'token',
    'deaths', 'max_deliveries', 'result_ttl')
  if not hash.err and hash[1] then return move(id, queue, hash) end
  lost = lost + 1
  bury(key, queue, id, 'status', 'rejected', 'error', 'what the task was is gone')
  redis.call('DEL', key)
end

local function each_due(index, kind, moment, move)
  local left = limit
  for _, queue in ipairs(call_or_reset('ZRANGE', prefix .. index, '-inf', moment, 'BYSCORE')) do
    local set = prefix .. kind .. queue
    local ids = left > 0 and call_or_reset('ZRANGE', set, '-inf', moment, 'BYSCORE', 'LIMIT', 0, left)
    if ids and #ids > 0 then call_or_reset('ZREM', set, unpack(ids)) end
    for _, id in ipairs(ids or {}) do move_on(id, queue, move) end
    left = left - #(ids or {})
    reindex(index, kind, queue)
  end
end
each_due('due', 'delayed:', stamp, promote)
each_due('expiry', 'leases:', lease_end(-grace), recover)
flush_pushed()
return { recovered, promoted, buried, lost }
