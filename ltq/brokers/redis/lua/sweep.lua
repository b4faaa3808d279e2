--[[
sweep: make delayed tasks that are due ready, and take back the tasks of dead workers.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] limit   int, most tasks of each kind
ARGV[2] grace   seconds after its end from which a lease is taken back
ARGV[3] notes   of buried tasks, see `_notes.lua`

RETURNS {recovered, promoted, buried, lost}: `lost` ids had no usable hash
]]
local prefix, limit, grace, notes = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
-- @include time, call_or_reset, lease_end, ready_batch, become_due, bury_unusable, final_list, recover
-- @include reindex, history, notes
local history, listed = read_notes(notes)
local recovered, promoted, buried, lost, move = 0, 0, 0, 0, {}

local function read(id)
  local values = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'lane', 'priority',
    'requeue_count', 'token', 'deaths', 'max_deliveries', 'result_ttl')
  if values.err or not values[1] then return end
  return { status = values[1], lane = values[2], priority = values[3], requeue_count = values[4],
    token = values[5], deaths = values[6], max_deliveries = values[7], result_ttl = values[8] }
end

function move.delayed(id, queue, hash)
  become_due(id, queue, hash)
  promoted = promoted + 1
end
function move.working(id, queue, hash)
  if not recover(id, queue, hash, listed) then recovered = recovered + 1 return end
  buried = buried + 1
  if history then note_count(queue, 'rejected', 1) end
end

-- Takes up to `left` due ids out of a set. Tasks of dead workers come in the order of their claims: more
-- leases than needed are read for that, as those that end at one moment are in the order of their ids.
local LOOK_AHEAD = 5
local function take_due(set, status, moment, left)
  local most = status == 'working' and LOOK_AHEAD * left or left
  local tasks, ids = {}, {}
  local due = call_or_reset('ZRANGE', set, '-inf', moment, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
  for i = 1, #due, 2 do
    local id, hash = due[i], read(due[i])
    local token = hash and tonumber(hash.token) or 0
    if hash then hash.due = at(tonumber(due[i + 1])) end
    tasks[#tasks + 1] = { id, token == token and token or 0, hash } -- "nan" is a number, too
  end
  if status == 'working' then table.sort(tasks, earlier_claim) end
  for i = 1, math.min(left, #tasks) do ids[i] = tasks[i][1] end
  if #ids > 0 then call_or_reset('ZREM', set, unpack(ids)) end
  return tasks, #ids
end

local function move_due(status, index, kind, moment)
  local left = limit
  for _, queue in ipairs(call_or_reset('ZRANGE', prefix .. index, '-inf', moment, 'BYSCORE')) do
    local tasks, count = take_due(prefix .. kind .. queue, status, moment, left)
    for i = 1, count do
      local id, hash = tasks[i][1], tasks[i][3]
      if not hash then
        lost = lost + 1
        bury_unusable(id, queue, "the task's data is missing", history)
      elseif hash.status == status then
        move[status](id, queue, hash)
      end
    end
    left = left - count
    reindex(index, kind, queue)
  end
end
move_due('delayed', 'due', 'delayed:', stamp)
move_due('working', 'lease_ends', 'leases:', lease_end(-grace))
flush_ready()
flush_final()
flush_history()
return { recovered, promoted, buried, lost }
