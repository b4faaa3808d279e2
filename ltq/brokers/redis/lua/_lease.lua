-- take_from(ready, lane, count): lease up to `count` tasks of a list, adding them to `tasks`, and
-- tell whether all that were asked for could be. Those that may not be leased now stay in front.
local MAX_BYTES = 4000000 -- of bodies in one reply: it has to arrive well within its deadline
local tasks, lost, leases, bytes = {}, 0, {}, 0
local isolation, full
local void = 0 -- ids that gave no task
local deadline = lease_end(lease)
local micros = now * 1e6
local fresh_token = string.format('%.0f', micros)
local keys = prefix .. 'task:'
local function add(id, token, fields) tasks[#tasks + 1] = { id, token, fields } end
local function unusable(id, lane, why)
  lost, void = lost + 1, void + 1
  local queue = string.match(lane, '^[^/]*')
  bury(keys .. id, queue, id, 'status', 'rejected', 'error', why)
  redis.call('DEL', keys .. id)
end
-- A task that workers died under is isolated step by step, so that one that kills them does not
-- take others along: alone before the death that would bury it, among 10 before that, ...
local function fits(hash)
  local deaths = tonumber(hash.deaths) or 0
  if deaths <= 0 then return true end
  if ignore_isolation then -- it was waited for in vain: one is taken as it is
    running, ignore_isolation = 0, false
    return true
  end
  local left = (tonumber(hash.max_deliveries) or most) - 1 - deaths
  local most_beside = math.floor(10 ^ math.min(math.max(left, 0), 9))
  if running + #tasks >= most_beside then
    isolation = math.min(isolation or most_beside, most_beside)
    return false
  end
  limit = math.min(limit, most_beside - running)
  return true
end
local function take(id, lane)
  local fields = redis.pcall('HGETALL', keys .. id)
  if fields.err then return unusable(id, lane, 'the key of the task does not hold a hash') end
  local hash = {}
  for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
  if not hash.status then return unusable(id, lane, 'what the task was is gone') end
  if hash.status ~= 'pending' then -- it has another place
    void = void + 1
    return
  end
  if not hash.task then return unusable(id, lane, 'what the task was is gone in part') end
  if hash.deaths and not fits(hash) then return true end
  local token, last = fresh_token, tonumber(hash.token)
  if last and last >= micros and last < 9e15 then token = string.format('%.0f', last + 1) end
  local count = hash.dequeue_count and string.format('%.0f', (tonumber(hash.dequeue_count) or 0) + 1) or '1'
  redis.call('HSET', keys .. id, 'status', 'working', 'dequeue_count', count,
    'last_dequeue_time', stamp, 'worker', consumer, 'token', token)
  add(id, token, fields)
  bytes = bytes + #(hash.body or '')
  local queue = hash.queue or hash.task
  local of_queue = leases[queue] or {}
  leases[queue] = of_queue
  of_queue[#of_queue + 1] = deadline
  of_queue[#of_queue + 1] = id
end
local function take_some(ready, lane, count)
  local ids = call_or_reset('LPOP', ready, count) or {}
  for i, id in ipairs(ids) do
    if bytes > MAX_BYTES then
      full, limit = true, #tasks
    end
    if #tasks >= limit or take(id, lane) then
      for j = #ids, i, -1 do call_or_reset('LPUSH', ready, ids[j]) end
      return 'refused'
    end
  end
  return #ids < count and 'empty'
end
local function take_from(ready, lane, count)
  local last, stop = #tasks + count, nil
  while #tasks < last and not stop do
    stop = void > 100 and 'refused' or take_some(ready, lane, last - #tasks)
  end
  return stop ~= 'refused'
end
