--[[
sweep: make delayed tasks that are due ready, and take back the tasks of dead workers.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] limit   int, most tasks of each kind
ARGV[2] grace   seconds after its end from which a lease is taken back

RETURNS {recovered, promoted, buried, lost}: `lost` ids had no usable hash
]]
local prefix, limit, grace = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
-- @include time, call_or_reset, lease_end, ready_batch, bury_unusable, recover, reindex
local recovered, promoted, buried, lost = 0, 0, 0, 0

local function read(id)
  local values = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'lane', 'priority',
    'requeue_count', 'token', 'deaths', 'max_deliveries', 'result_ttl')
  if values.err or not values[1] then return end
  return { status = values[1], lane = values[2], priority = values[3], requeue_count = values[4],
    token = values[5], deaths = values[6], max_deliveries = values[7], result_ttl = values[8] }
end

local move = {}
function move.delayed(id, queue, hash)
  return_task(id, queue, hash)
  promoted = promoted + 1
end
function move.working(id, queue, hash)
  if recover(id, queue, hash) then buried = buried + 1 else recovered = recovered + 1 end
end

local function move_due(status, index, kind, moment)
  local left = limit
  for _, queue in ipairs(call_or_reset('ZRANGE', prefix .. index, '-inf', moment, 'BYSCORE')) do
    local set = prefix .. kind .. queue
    local ids = left > 0 and call_or_reset('ZRANGE', set, '-inf', moment, 'BYSCORE', 'LIMIT', 0, left) or {}
    if #ids > 0 then call_or_reset('ZREM', set, unpack(ids)) end
    for _, id in ipairs(ids) do
      local hash = read(id)
      if not hash then
        lost = lost + 1
        bury_unusable(id, queue, "the task's data is missing")
      elseif hash.status == status then
        move[status](id, queue, hash)
      end
    end
    left = left - #ids
    reindex(index, kind, queue)
  end
end
move_due('delayed', 'due', 'delayed:', stamp)
move_due('working', 'lease_ends', 'leases:', lease_end(-grace))
flush_ready()
return { recovered, promoted, buried, lost }
