-- lease_from(claim, ready, lane, count): lease up to `count` tasks of a ready list, adding them to the
-- claim, and return whether all that were asked for could be. Those that may not be leased now stay in
-- front. `claim` is what `new_claim` made.
-- @include time, call_or_reset, bury_unusable, isolation
local MAX_BYTES = 4000000 -- of bodies in one reply, so that it arrives well within its deadline
local MAX_VOID = 100 -- ids that gave no task, after which the claim stops: it must not take long
local MAX_TOKEN = 9e15 -- beyond it, numbers skip whole ones
local micros = now * 1e6
local new_token = string.format('%.0f', micros)
local function unusable(claim, id, lane, why)
  claim.lost, claim.void = claim.lost + 1, claim.void + 1
  bury_unusable(id, string.match(lane, '^[^/]*'), why)
end
-- Returns true if the task must stay where it is.
local function take(claim, id, lane)
  local key = prefix .. 'task:' .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return unusable(claim, id, lane, 'the key of the task does not hold a hash') end
  local hash = {}
  for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
  if not hash.status then return unusable(claim, id, lane, 'what the task was is gone') end
  if hash.status ~= 'pending' then -- it has another place
    claim.void = claim.void + 1
    return
  end
  if not hash.task then return unusable(claim, id, lane, 'what the task was is gone in part') end
  local isolation = hash.deaths and isolation_of(hash.deaths, hash.max_deliveries)
  if isolation and not fits(claim, isolation) then return true end
  local token, last = new_token, tonumber(hash.token)
  if last and last >= micros and last < MAX_TOKEN then token = string.format('%.0f', last + 1) end
  local count = hash.dequeue_count and string.format('%.0f', (tonumber(hash.dequeue_count) or 0) + 1) or '1'
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', count, 'last_dequeue_time', stamp,
    'worker', claim.consumer, 'token', token)
  claim.tasks[#claim.tasks + 1] = { id, token, fields, isolation or false }
  claim.bytes = claim.bytes + #(hash.body or '')
  local queue = hash.queue or hash.task
  local leases = claim.leases[queue] or {}
  claim.leases[queue] = leases
  leases[#leases + 1] = claim.deadline
  leases[#leases + 1] = id
end
-- Returns 'stopped' if a task was left, 'empty' if there are no more.
local function take_some(claim, ready, lane, count)
  local ids = call_or_reset('LPOP', ready, count) or {}
  for i, id in ipairs(ids) do
    if claim.bytes > MAX_BYTES then
      claim.is_full, claim.limit = true, #claim.tasks
    end
    if #claim.tasks >= claim.limit or take(claim, id, lane) then
      for j = #ids, i, -1 do call_or_reset('LPUSH', ready, ids[j]) end
      return 'stopped'
    end
  end
  return #ids < count and 'empty'
end
local function lease_from(claim, ready, lane, count)
  local goal, stop = #claim.tasks + count, nil
  while #claim.tasks < goal and not stop do
    stop = claim.void > MAX_VOID and 'stopped' or take_some(claim, ready, lane, goal - #claim.tasks)
  end
  return stop ~= 'stopped'
end
