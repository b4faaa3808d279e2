--[[
stats: count the tasks of queues at one moment, and measure how quickly they end.

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] overdue_after  seconds after its end from which a lease is overdue
ARGV[2...] queues

RETURNS for each queue {high, normal, low, delayed, working, dead, rate, oldest, overdue}: first the
        pending tasks by priority. rate: tasks per second, as text. oldest: seconds that the oldest
        pending task has waited, as text, or nil.
]]
local prefix, overdue_after = KEYS[1], tonumber(ARGV[1])
-- @include time, call_or_reset, throughput, waits_since
-- @constant DEAD_TTL, HIGHEST_PRIORITY, LOWEST_PRIORITY
local lanes = {}
for _, lane in ipairs(call_or_reset('SMEMBERS', prefix .. 'lanes')) do
  local queue = string.match(lane, '^[^/]*')
  lanes[queue] = lanes[queue] or {}
  table.insert(lanes[queue], lane)
end
local function head_since(ready)
  local id = call_or_reset('LINDEX', ready, 0)
  local times = redis.pcall('HMGET', prefix .. 'task:' .. (id or ''), 'enqueue_time', 'last_requeue_time')
  if times.err or not (times[1] or times[2]) then return end
  return waits_since(times[1], times[2])
end
local function pending(queue)
  local counts, since = {}, nil
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    local total = 0
    for _, lane in ipairs(lanes[queue] or {}) do
      local ready = prefix .. 'ready:' .. priority .. ':' .. lane
      local count = call_or_reset('LLEN', ready)
      total = total + count
      local head = count > 0 and head_since(ready)
      if head then since = math.min(since or head, head) end
    end
    counts[#counts + 1] = total
  end
  return counts, since and at(math.max(0, now - since)) or false
end
local counts = {}
for i = 2, #ARGV do
  local queue = ARGV[i]
  local leases, by_priority, oldest = prefix .. 'leases:' .. queue, pending(queue)
  counts[i - 1] = {
    by_priority[1], by_priority[2], by_priority[3],
    call_or_reset('ZCARD', prefix .. 'delayed:' .. queue),
    call_or_reset('ZCARD', leases),
    call_or_reset('ZCOUNT', prefix .. 'dead:' .. queue, '(' .. at(now - DEAD_TTL), '+inf'),
    throughput(queue),
    oldest,
    call_or_reset('ZCOUNT', leases, '-inf', (now - overdue_after) * 1000),
  }
end
return counts
