-- record_claim(claim, claim_id): write the leases of a claim, and record it for repeated calls.
-- find_claim(consumer, claim_id): the record of the consumer's last claim, if it has this id; and when.
-- repeat_claim(claim, claim_id, known): if that is the consumer's last claim, give those tasks again, but for
-- the first `known`, whose leases still hold, and renew the leases and the record. If they have too many
-- bytes, it gives the first ones. Returns the reply, or nil. `claim` is that of `claim.lua`.
-- Leases last longer by the time in which so many bytes should arrive. The record outlives them: a claim may
-- be repeated after an outage, and what it gave is not a dead worker's.
-- @include time, call_or_reset, free_first, give, given, history, isolation, lease_end, waits
-- @constant CLAIM_KEPT, SLOWEST
local function record_ttl(seconds)
  local ttl = math.max(1, (seconds + CLAIM_KEPT) * 1000)
  return string.format(ttl < 2 ^ 31 and '%d' or '%.0f', ttl) -- '%d' costs half as much
end
-- A small sorted set is a list to Redis, which looks at all of it for each new member. A wide member makes it
-- another structure for good, in which many leases take a fifth of the time.
-- @rare
local function add_many(key, leases)
  local wide = string.rep('-', 65)
  call_or_reset('ZADD', key, 0, wide)
  call_or_reset('ZADD', key, unpack(leases))
  redis.call('ZREM', key, wide)
end
local function record_claim(claim, claim_id)
  if #claim.ids == 0 then return flush_history() end
  local record, seconds = { claim_id .. ' ' .. stamp }, claim.lease + claim.bytes / SLOWEST
  if claim.bytes > SLOWEST then
    claim.deadline = lease_end(seconds)
    for _, leases in pairs(claim.leases) do
      for i = 1, #leases, 2 do leases[i] = claim.deadline end
    end
  end
  for i, id in ipairs(claim.ids) do record[i + 1] = id end
  local text = table.concat(record, '\n')
  redis.call('SET', prefix .. 'claim:' .. claim.consumer, text, 'PX', record_ttl(seconds))
  for queue, leases in pairs(claim.leases) do
    local key = prefix .. 'leases:' .. queue
    if #leases >= 32 then add_many(key, leases) else call_or_reset('ZADD', key, unpack(leases)) end
    call_or_reset('ZADD', prefix .. 'lease_ends', 'LT', claim.deadline, queue)
  end
  flush_waits()
  flush_history()
end
-- @rare
local function find_claim(consumer, claim_id)
  local record = call_or_reset('GET', prefix .. 'claim:' .. consumer)
  local id, moment = string.match(record or '', '^(%S*) (%S+)\n')
  if id == claim_id then return record, moment end
end
-- @rare
local function repeat_claim(claim, claim_id, known)
  local record, claimed = find_claim(claim.consumer, claim_id)
  if not record then return nil end
  free_first()
  local position, rest, held = 0, false, {}
  for id in string.gmatch(string.match(record, '\n(.*)'), '[^\n]+') do
    local key = prefix .. 'task:' .. id
    local hash = redis.pcall('HMGET', key, 'status', 'worker', 'token', 'dequeue_count', 'queue', 'task',
      'deaths', 'max_deliveries')
    position = position + 1
    if position > known and not hash.err and hash[1] == 'working' and hash[2] == claim.consumer then
      held[id] = hash[5] or hash[6]
      if not rest and claim.bytes >= claim.most_bytes and #claim.ids > 0 then rest = position - 1 end
      if not rest then
        local fields, size = given(redis.call('HGETALL', key))
        claim.bytes = claim.bytes + size
        fields[#fields + 1] = 'dequeue_count' -- as it was before the claim
        fields[#fields + 1] = string.format('%.0f', tonumber(hash[4]) - 1)
        give(claim, id, hash[3], fields, isolation_of(claim, hash[7], hash[8], hash[6]))
      end
    end
  end
  local seconds = claim.lease + claim.bytes / SLOWEST
  for id, queue in pairs(held) do
    call_or_reset('ZADD', prefix .. 'leases:' .. queue, 'XX', lease_end(seconds), id)
  end
  redis.call('PEXPIRE', prefix .. 'claim:' .. claim.consumer, record_ttl(seconds))
  claim.reply[1], claim.reply[3] = rest and 'part' or 'repeated', claimed
  claim.reply[4], claim.reply[7] = at(0), rest
  return claim.reply
end
