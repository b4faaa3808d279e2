--[[
stats: count the tasks of queues at one moment, and measure how quickly they end.

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] overdue_after  seconds after its end from which a lease is overdue
ARGV[2...] queues

RETURNS for each queue {high, normal, low, delayed, working, dead, rate, oldest, overdue, unserved,
        unserved_oldest, served_ago, unswept, rate_10s, paused}. high, normal, low: pending tasks. rate: tasks
        per second, as text. oldest: seconds that the oldest due task has waited, as text, or nil.
        unserved: names and counts of pending tasks in lanes of their own that no live consumer serves;
        unserved_oldest: as oldest, of these. served_ago: seconds since a live consumer last served the
        queue; unswept: since a task is due or a lease has ended; both as oldest. paused: 1 or 0
]]
local prefix, overdue_after = KEYS[1], tonumber(ARGV[1])
-- @include time, call_or_reset, paused, pending, throughput
-- @constant DEAD_TTL, HIGHEST_PRIORITY, LOWEST_PRIORITY
local function age(since) return since and at(math.max(0, now - since)) or false end
-- How many members a set of times has, and when the first one is, if that is past.
local function count_timed(key, unit)
  local count = call_or_reset('ZCARD', key)
  if count == 0 then return 0 end
  local first = tonumber(call_or_reset('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  return count, first and first / unit < now and first / unit or nil
end
-- Whether all tasks of a queue are pending, with the default priority, and none has ended lately.
local function is_plain(queue)
  return redis.call('EXISTS', prefix .. 'delayed:' .. queue, prefix .. 'leases:' .. queue,
    prefix .. 'dead:' .. queue, prefix .. 'throughput:' .. queue, prefix .. 'queue_lanes:' .. queue,
    prefix .. 'ready:' .. HIGHEST_PRIORITY .. ':' .. queue,
    prefix .. 'ready:' .. LOWEST_PRIORITY .. ':' .. queue) == 0
end
local function count_all(queue)
  local delayed, due, working, lost, dead, overdue = 0, nil, 0, nil, 0, 0
  local plain, rate, rate_10s = is_plain(queue), at(0), at(0)
  if not plain then
    local leases = prefix .. 'leases:' .. queue
    delayed, due = count_timed(prefix .. 'delayed:' .. queue, 1)
    working, lost = count_timed(leases, 1000)
    dead = call_or_reset('ZCOUNT', prefix .. 'dead:' .. queue, '(' .. at(now - DEAD_TTL), '+inf')
    overdue = lost and call_or_reset('ZCOUNT', leases, '-inf', (now - overdue_after) * 1000) or 0
    rate, rate_10s = throughput(queue)
  end
  local by_priority, oldest, unserved, unserved_oldest = pending(queue, due, plain)
  return { by_priority[1], by_priority[2], by_priority[3], delayed, working, dead, rate, age(oldest), overdue,
    unserved, age(unserved_oldest), age(served_until(queue)), age(earlier(due, lost)), rate_10s }
end
local counts, paused = {}, read_paused()
for i = 2, #ARGV do
  counts[i - 1] = count_all(ARGV[i])
  table.insert(counts[i - 1], is_paused(paused, ARGV[i]) and 1 or 0)
end
return counts
