--[[
repair: give tasks back the place they should have, after an eviction or a partial restore.

Whether a pending task is in its list cannot be seen quickly. Without `before` those are counted
that are out of their list's order; with it, the caller has seen that the ids are not in the lists.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] lease   seconds that a working task without a lease gets: its worker may be alive
ARGV[2] before  put pending tasks back that wait since before then (Unix seconds), or ''
ARGV    ids

RETURNS {repaired, doubtful}: how many were put back; pending tasks whose list should be read
]]
local prefix, lease, before = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
-- @include time
-- @include call_or_reset
-- @include lease_end
-- @include enqueue_ready
-- @include ready_batch
-- @include reindex
local repaired, doubtful, lanes, restore = 0, 0, {}, {}
local function since(hash) return math.max(tonumber(hash[1]) or 0, tonumber(hash[2]) or 0) end
local ends = {} -- of each ready list: when its first task was sent, since when its last one waits
local function end_of(ready, position)
  local at_end = ready .. ' ' .. position
  if not ends[at_end] then
    local id = call_or_reset('LINDEX', ready, position)
    local hash = redis.pcall('HMGET', prefix .. 'task:' .. (id or ''), 'enqueue_time', 'last_requeue_time')
    if position == 0 then hash[2] = nil end -- one that was put back to the front
    ends[at_end] = not hash.err and since(hash) or 0
  end
  return ends[at_end]
end
function restore.pending(id, _, lane, priority, hash)
  local ready = prefix .. 'ready:' .. priority .. ':' .. lane
  if not before then
    local first, last = end_of(ready, 0), end_of(ready, -1)
    if since(hash) < first or since(hash) > last then doubtful = doubtful + 1 end
  elseif since(hash) < before then
    redis.call('HSET', prefix .. 'task:' .. id, 'last_requeue_time', stamp)
    push(lane, priority, id)
    repaired = repaired + 1
  end
end
function restore.delayed(id, queue, lane, priority)
  if call_or_reset('ZSCORE', prefix .. 'delayed:' .. queue, id) then return end
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'last_requeue_time', stamp)
  push(lane, priority, id) -- when it was due nobody knows any more
  repaired = repaired + 1
end
function restore.working(id, queue)
  repaired = repaired + call_or_reset('ZADD', prefix .. 'leases:' .. queue, 'NX', lease_end(lease), id)
end

redis.call('DEL', prefix .. 'none') -- under OOM a script may write if its first write frees
for i = 3, #ARGV do
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. ARGV[i], 'enqueue_time',
    'last_requeue_time', 'status', 'task', 'queue', 'lane', 'priority')
  local put = not hash.err and hash[4] and restore[hash[3] or '']
  if put then
    local queue, priority = hash[5] or hash[4], hash[7] or '1'
    local lane = hash[6] or queue
    lanes[lane] = queue
    if priority ~= '0' and priority ~= '2' then priority = '1' end
    put(ARGV[i], queue, lane, priority, hash)
  end
end
flush_pushed()
for lane, queue in pairs(lanes) do
  call_or_reset('SADD', prefix .. 'lanes', lane)
  for priority = 0, 2 do
    local member = priority .. ':' .. lane
    if call_or_reset('LLEN', prefix .. 'ready:' .. member) > 0 then
      call_or_reset('ZADD', prefix .. 'active', 'NX', at(priority * 1e10 + now), member)
    end
  end
  reindex('due', 'delayed:', queue)
  reindex('expiry', 'leases:', queue)
end
return { repaired, doubtful }
