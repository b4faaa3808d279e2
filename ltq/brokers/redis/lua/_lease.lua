-- lease_from(claim, member, lane, count, skips): lease up to `count` tasks of a ready list and add them to
-- the claim. Returns 'empty' (the list has no more ids), 'more' (it may have) or 'stopped': before a task
-- that may not be leased now, which stays in front, or because too many ids gave no task. `skips`: whether
-- entries of the list are to be skipped.
-- @include time, call_or_reset, give, given, isolation, lease_plain, names, skipped, strangers, tokens
-- @include unusable, waits
-- @constant TASK_BYTES
local MAX_VOID, may_skip = 100, 2000 -- ids that gave no task, and skipped ones: then a claim stops
-- Leases one task. Returns 'taken', 'stays' (too much runs beside it now) or 'void' (the id gave no task, or
-- one that is moved to another lane).
local function take(claim, id, lane)
  local key = prefix .. 'task:' .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then return unusable(claim, id, lane, 'the key of the task does not hold a hash') end
  if lease_plain(claim, id, key, fields) then return 'taken' end
  -- With room for what most tasks have: a table that grows costs much more.
  local hash = { status = nil, task = nil, body = nil, enqueue_time = nil, queue = nil, lane = nil }
  for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
  if not hash.status then return unusable(claim, id, lane, "the task's data is missing") end
  if hash.status ~= 'pending' then -- the task is in another place
    claim.void = claim.void + 1
    return 'void'
  end
  if not hash.task then return unusable(claim, id, lane, "part of the task's data is missing") end
  local queue = hash.queue or hash.task
  -- Most are what the consumer runs, without a limit that would be for another lane.
  local other = hash.serializer or claim.has_limits or not knows_task(claim.knows, hash.task)
  if other then other = lane_for(claim, lane, queue, hash) end
  if other then
    change_lane(claim, id, other, hash)
    return 'void'
  end
  local isolation
  if hash.deaths then isolation = isolation_of(claim, hash.deaths, hash.max_deliveries, hash.task) end
  if isolation then if not fits(claim, isolation) then return 'stays' end end
  local count = hash.dequeue_count and string.format('%.0f', (tonumber(hash.dequeue_count) or 0) + 1) or '1'
  local token
  if hash.token then token = later_token(#claim.ids, hash.token) else token = next_token(#claim.ids) end
  local is_simple = hash.ctx and hash.body and hash.enqueue_time and #fields == (hash.result_ttl and 12 or 10)
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', count, 'last_dequeue_time',
    is_simple and '' or stamp, 'worker', claim.consumer, 'token', token)
  if hash.error then fields = given(fields) end
  if is_simple then give_simple(claim, id, token, hash) else give(claim, id, token, fields, isolation) end
  claim.bytes = claim.bytes + TASK_BYTES + #(hash.body or '') + #(hash.ctx or '')
  if claim.history then note_wait(queue, hash.enqueue_time, hash.last_requeue_time) end
  local leases = claim.leases[queue] or {}
  claim.leases[queue], leases[#leases + 1], leases[#leases + 2] = leases, claim.deadline, id
  return 'taken'
end
-- Leases what the next `count` ids give, and returns what `lease_from` does.
local function take_some(claim, member, lane, count, skips)
  local ready = prefix .. 'ready:' .. member
  local ids = call_or_reset('LPOP', ready, count) or {}
  local taken = #ids
  if skips then ids = keep_wanted(member, ids) end
  may_skip = may_skip - taken + #ids
  for i = 1, #ids do
    local id = ids[i]
    if claim.bytes >= claim.most_bytes and #claim.ids > 0 then
      claim.is_full, claim.limit = true, #claim.ids
    end
    if #claim.ids >= claim.limit or take(claim, id, lane) == 'stays' then
      for j = #ids, i, -1 do call_or_reset('LPUSH', ready, ids[j]) end
      return 'stopped'
    end
  end
  return taken < count and 'empty' or 'more'
end
local function lease_from(claim, member, lane, count, skips)
  local goal, progress = #claim.ids + count, 'more'
  while progress == 'more' and #claim.ids < goal do
    if skips then may_skip = skip_front(member, may_skip) end
    if may_skip <= 0 then claim.void = claim.void + 1 end -- so that it claims again at once
    if may_skip <= 0 or claim.void > MAX_VOID then return 'stopped' end
    progress = take_some(claim, member, lane, goal - #claim.ids, skips)
  end
  return progress
end
