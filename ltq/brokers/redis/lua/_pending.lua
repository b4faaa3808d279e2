-- pending(queue, oldest, is_plain): the pending tasks of a queue: their numbers by priority; since when the
-- oldest of them has been waiting, or `oldest` if that is earlier; names and numbers of those in lanes of
-- their own that no live consumer serves; since when the oldest of these has been waiting. With `is_plain`
-- all have the default priority and are in the queue's own lane, so that there is less to look at.
-- served_until(lane): until when a live consumer serves a lane; nil if that is not known.
-- earlier(a, b): the earlier one of two times that may be nil.
-- @include call_or_reset, first_waiting, queue_lanes, skipped, time, waits_since
-- @constant DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
local function earlier(a, b) return a and b and math.min(a, b) or a or b end
local function served_until(lane)
  local last = call_or_reset('ZSCORE', prefix .. 'served', lane)
  return last and tonumber(last)
end
local function head_since(member)
  local id = first_waiting(member)
  local times = redis.pcall('HMGET', prefix .. 'task:' .. (id or ''), 'enqueue_time', 'last_requeue_time')
  if times.err or not (times[1] or times[2]) then return end
  return waits_since(times[1], times[2])
end
-- Adds the ready tasks of a lane to `sums`, by priority. Returns how many, and since when the oldest waits.
local function add_ready_of(lane, sums, is_plain)
  local total, since, normal = 0, nil, is_plain and tonumber(DEFAULT_PRIORITY)
  for priority = normal or HIGHEST_PRIORITY, normal or LOWEST_PRIORITY do
    local member, i = priority .. ':' .. lane, priority - HIGHEST_PRIORITY + 1
    local count = count_waiting(member)
    if count > 0 then
      since, total, sums[i] = earlier(since, head_since(member)), total + count, sums[i] + count
    end
  end
  return total, since
end
local function pending(queue, oldest, is_plain)
  local sums, unserved, unserved_oldest = { 0, 0, 0 }, {}, nil
  for _, lane in ipairs(is_plain and { queue } or lanes_of(queue)) do
    local total, since = add_ready_of(lane, sums, is_plain)
    oldest = earlier(oldest, since)
    if total > 0 and lane ~= queue and (served_until(lane) or 0) <= now then
      unserved[#unserved + 1], unserved[#unserved + 2] = string.sub(lane, #queue + 2), total
      unserved_oldest = earlier(unserved_oldest, since)
    end
  end
  return sums, oldest, unserved, unserved_oldest
end
