-- lease_from(claim, ready, lane, count): lease up to `count` tasks of a ready list and add them to the claim.
-- Returns false if it had to stop early: before a task that may not be leased now, which stays in front of
-- the list, or because too many ids gave no task. `claim` comes from `new_claim`.
-- @include time, call_or_reset, bury_unusable, given, isolation
local MAX_VOID = 100 -- ids that gave no task: after these the claim stops, so that it stays short
local MAX_TOKEN = 9e15 -- above it, a double cannot hold every whole number
local micros = now * 1e6
local new_token = string.format('%.0f', micros)
local function unusable(claim, id, lane, why)
  claim.lost, claim.void = claim.lost + 1, claim.void + 1
  bury_unusable(id, string.match(lane, '^[^/]*'), why)
  return 'void'
end
-- Leases one task. Returns 'taken', 'stays' (too much runs beside it now) or 'void' (the id gave no task).
local function take(claim, id, lane)
  local key = prefix .. 'task:' .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return unusable(claim, id, lane, 'the key of the task does not hold a hash') end
  local hash = {}
  for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
  if not hash.status then return unusable(claim, id, lane, "the task's data is missing") end
  if hash.status ~= 'pending' then -- the task is in another place
    claim.void = claim.void + 1
    return 'void'
  end
  if not hash.task then return unusable(claim, id, lane, "part of the task's data is missing") end
  local isolation = hash.deaths and isolation_of(hash.deaths, hash.max_deliveries)
  if isolation and not fits(claim, isolation) then return 'stays' end
  local token, last = new_token, tonumber(hash.token)
  if last and last >= micros and last < MAX_TOKEN then token = string.format('%.0f', last + 1) end
  local count = hash.dequeue_count and string.format('%.0f', (tonumber(hash.dequeue_count) or 0) + 1) or '1'
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', count, 'last_dequeue_time', stamp,
    'worker', claim.consumer, 'token', token)
  if hash.error then fields = given(fields) end
  claim.tasks[#claim.tasks + 1] = { id, token, fields, isolation or false }
  claim.bytes = claim.bytes + #(hash.body or '') + #(hash.ctx or '')
  local queue = hash.queue or hash.task
  local leases = claim.leases[queue] or {}
  claim.leases[queue] = leases
  leases[#leases + 1] = claim.deadline
  leases[#leases + 1] = id
  return 'taken'
end
-- Leases what the next `count` ids give. Returns 'stopped' (a task stays, and all behind it), 'empty' (the
-- list has no more ids) or 'more' (it may have).
local function take_some(claim, ready, lane, count)
  local ids = call_or_reset('LPOP', ready, count) or {}
  for i, id in ipairs(ids) do
    if claim.bytes >= claim.most_bytes and #claim.tasks > 0 then
      claim.is_full, claim.limit = true, #claim.tasks
    end
    if #claim.tasks >= claim.limit or take(claim, id, lane) == 'stays' then
      for j = #ids, i, -1 do call_or_reset('LPUSH', ready, ids[j]) end
      return 'stopped'
    end
  end
  return #ids < count and 'empty' or 'more'
end
local function lease_from(claim, ready, lane, count)
  local goal, progress = #claim.tasks + count, 'more'
  while progress == 'more' and #claim.tasks < goal do
    if claim.void > MAX_VOID then return false end
    progress = take_some(claim, ready, lane, goal - #claim.tasks)
  end
  return progress ~= 'stopped'
end
