-- record_claim(claim, claim_id): write the leases of a claim, and record it for repeated calls; count in the
-- history what was noted.
-- find_claim(consumer, claim_id): the record of the consumer's last claim, if it has this id.
-- repeat_claim(claim, record, known): give those tasks of a recorded claim again, but for the first `known`,
-- whose leases still hold, and renew the leases and the record. If they have too many bytes, it gives the
-- first ones, and returns how many are known then. `claim` comes from `new_claim`.
-- Leases last longer by the time in which so many bytes should arrive. The record outlives them: a claim may
-- be repeated after an outage, and what it gave is not a dead worker's.
-- @include call_or_reset, free_first, given, history, isolation, lease_end
-- @constant CLAIM_KEPT, SLOWEST
local function on_the_way(claim) return claim.lease + claim.bytes / SLOWEST end
local function milliseconds(seconds) return string.format('%.0f', math.max(1, seconds * 1000)) end
-- A small sorted set is a list to Redis, which looks at all of it for each new member. A wide member makes it
-- another structure for good, in which many leases take a fifth of the time.
local function add_leases(key, leases)
  local wide = #leases >= 32 and string.rep('-', 65)
  if wide then call_or_reset('ZADD', key, 0, wide) end
  call_or_reset('ZADD', key, unpack(leases))
  if wide then redis.call('ZREM', key, wide) end
end
local function record_claim(claim, claim_id)
  if #claim.tasks == 0 then return flush_history() end
  local record, seconds = { claim_id }, on_the_way(claim)
  if claim.bytes > SLOWEST then
    claim.deadline = lease_end(seconds)
    for _, leases in pairs(claim.leases) do
      for i = 1, #leases, 2 do leases[i] = claim.deadline end
    end
  end
  for i, task in ipairs(claim.tasks) do record[i + 1] = task[1] end
  redis.call('SET', prefix .. 'claim:' .. claim.consumer, table.concat(record, '\n'), 'PX',
    milliseconds(seconds + CLAIM_KEPT))
  for queue, leases in pairs(claim.leases) do
    add_leases(prefix .. 'leases:' .. queue, leases)
    call_or_reset('ZADD', prefix .. 'lease_ends', 'LT', claim.deadline, queue)
  end
  flush_history()
end
-- @rare
local function find_claim(consumer, claim_id)
  local record = call_or_reset('GET', prefix .. 'claim:' .. consumer)
  return record and string.match(record, '^[^\n]*') == claim_id and record
end
-- @rare
local function repeat_claim(claim, record, known)
  free_first()
  local position, rest, held = 0, false, {}
  for id in string.gmatch(string.match(record, '\n(.*)'), '[^\n]+') do
    local key = prefix .. 'task:' .. id
    local hash = redis.pcall('HMGET', key, 'status', 'worker', 'token', 'dequeue_count', 'queue', 'task',
      'deaths', 'max_deliveries')
    position = position + 1
    if position > known and not hash.err and hash[1] == 'working' and hash[2] == claim.consumer then
      held[id] = hash[5] or hash[6]
      if not rest and claim.bytes >= claim.most_bytes and #claim.tasks > 0 then rest = position - 1 end
      if not rest then
        local fields, size = given(redis.call('HGETALL', key))
        claim.bytes = claim.bytes + size
        fields[#fields + 1] = 'dequeue_count' -- as it was before the claim
        fields[#fields + 1] = string.format('%.0f', tonumber(hash[4]) - 1)
        local isolation = isolation_of(claim, hash[7], hash[8], hash[6])
        claim.tasks[#claim.tasks + 1] = { id, hash[3], fields, isolation or false }
      end
    end
  end
  local seconds = on_the_way(claim)
  local deadline = lease_end(seconds)
  for id, queue in pairs(held) do
    call_or_reset('ZADD', prefix .. 'leases:' .. queue, 'XX', deadline, id)
  end
  redis.call('PEXPIRE', prefix .. 'claim:' .. claim.consumer, milliseconds(seconds + CLAIM_KEPT))
  return rest
end
