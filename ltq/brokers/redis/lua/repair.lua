--[[
repair: requeue tasks that have lost their place, after an eviction or a partial restore.

It takes long to find out whether a pending task is in its list. Without `before`, pending tasks that
do not fit the order of their list are only counted. With it, the caller has read the lists, and the
ids do not wait there: they have no entries, or only such that are skipped.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] lease     seconds of the lease for a working task that has none: its worker may be alive
ARGV[2] before    requeue pending tasks that have waited since before then (Unix seconds), or ''
ARGV[3...] ids

RETURNS {repaired, doubtful}: how many were requeued; how many pending tasks may be missing in
        their list, which should be read
]]
local prefix, lease, before = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
-- @include time, call_or_reset, enqueue_ready, free_first, lease_end, list_order, priorities
-- @include queue_lanes, ready_batch, reindex, skipped, waits_since
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
local repaired, doubtful, lanes, restore = 0, 0, {}, {}
function restore.pending(id, _, lane, priority, since)
  if not before then
    if is_out_of_order(priority .. ':' .. lane, since) then doubtful = doubtful + 1 end
  elseif since < before then
    redis.call('HSET', prefix .. 'task:' .. id, 'last_requeue_time', stamp)
    trim_skipped(priority .. ':' .. lane, id)
    add_ready(lane, priority, id)
    repaired = repaired + 1
  end
end
function restore.delayed(id, queue, lane, priority)
  if call_or_reset('ZSCORE', prefix .. 'delayed:' .. queue, id) then return end
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'last_requeue_time', stamp)
  add_ready(lane, priority, id) -- when it was due is not known any more
  repaired = repaired + 1
end
function restore.working(id, queue)
  repaired = repaired + call_or_reset('ZADD', prefix .. 'leases:' .. queue, 'NX', lease_end(lease), id)
end

free_first()
for i = 3, #ARGV do
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. ARGV[i], 'enqueue_time',
    'last_requeue_time', 'status', 'task', 'queue', 'lane', 'priority')
  local put_back = not hash.err and hash[4] and restore[hash[3] or '']
  if put_back then
    local queue, priority = hash[5] or hash[4], priority_of(hash[7])
    local lane = hash[6] or queue
    lanes[lane] = queue
    put_back(ARGV[i], queue, lane, priority, waits_since(hash[1], hash[2]))
  end
end
flush_ready()
for lane, queue in pairs(lanes) do
  call_or_reset('SADD', prefix .. 'lanes', queue)
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    local member = priority .. ':' .. lane
    if call_or_reset('LLEN', prefix .. 'ready:' .. member) > 0 then
      keep_lane(lane)
      call_or_reset('ZADD', prefix .. 'active', 'NX', active_rank(priority), member)
    end
  end
  reindex('due', 'delayed:', queue)
  reindex('lease_ends', 'leases:', queue)
end
return { repaired, doubtful }
