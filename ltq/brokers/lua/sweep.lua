--[[
sweep: let delayed tasks that are due wait in their lanes, and take back what dead workers left.

KEYS[1] prefix          of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] limit           int, most tasks of each kind
ARGV[2] max_deliveries  int, deaths that bury a task which names no limit of its own
ARGV[3] result_ttl      seconds the state of a buried task stays, where it names none itself

RETURNS {recovered, promoted, buried}
]]
local prefix = KEYS[1]
local limit, max_deliveries, result_ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- @include time
-- @include ready
-- @include bury
-- @include index
-- @include final

local recovered, promoted, buried = 0, 0, 0

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
  local key = prefix .. 'task:' .. id
  local text = 'killed its worker ' .. (deaths == 1 and 'once' or died .. ' times')
  buried = buried + 1
  bury(key, queue, id, 'status', 'rejected', 'error', text, 'deaths', died, 'token', token)
  close(key, hash[8] or result_ttl, result_ttl, 'rejected', 'error', text, 'token', token)
end

local function each_due(index, kind, move)
  local left = limit
  for _, queue in ipairs(redis.call('ZRANGE', prefix .. index, '-inf', stamp, 'BYSCORE')) do
    local set = prefix .. kind .. queue
    local ids = left > 0 and redis.call('ZRANGE', set, '-inf', stamp, 'BYSCORE', 'LIMIT', 0, left)
    if ids and #ids > 0 then redis.call('ZREM', set, unpack(ids)) end
    for _, id in ipairs(ids or {}) do
      local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'lane', 'priority',
        'requeue_count', 'token', 'deaths', 'max_deliveries', 'result_ttl')
      if not hash.err then move(id, queue, hash) end
    end
    left = left - #(ids or {})
    reindex(index, kind, queue)
  end
end

each_due('due', 'delayed:', promote)
each_due('expiry', 'leases:', recover)
flush_pushed()
return { recovered, promoted, buried }
