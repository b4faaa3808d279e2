-- record_claim(claim, claim_id, again): write the leases of a claim, and record it for repeated calls. One
-- that gives nothing is recorded if it is repeated: an earlier call with its id, which may still be behind a
-- blocking pop, is to give nothing any more.
-- record_ttl(seconds): how long the record of a claim is kept, in milliseconds as text.
-- record_key(consumer, claim_id): the key of that record. A consumer that has two claims in progress at once
-- has two: `/2` stands before the number in the ids of the second one.
-- find_claim(consumer, claim_id): the record of the consumer's last claim, if it has this id; and when. If a
-- later claim of the same consumer was recorded, it returns false for the record.
-- void_claim(consumer, claim_id): let a claim with this id give nothing from now on.
-- `claim` is that of `claim.lua`. Leases last longer by the time in which so many bytes should arrive. The
-- record outlives them: a claim may be repeated after an outage, and what it gave is not a dead worker's.
-- @include time, call_or_reset, history, lease_end, waits
-- @constant CLAIM_KEPT, SLOWEST
local function record_ttl(seconds)
  local ttl = math.max(1, (seconds + CLAIM_KEPT) * 1000)
  return string.format(ttl < 2 ^ 31 and '%d' or '%.0f', ttl) -- '%d' costs half as much
end
local function record_key(consumer, claim_id)
  return prefix .. 'claim:' .. consumer .. (string.match(claim_id, '^%x*(/%d+)%-') or '')
end
-- A small sorted set is a list to Redis, which looks at all of it for each new member. A wide member makes it
-- another structure for good, in which many leases take a fifth of the time.
-- @rare
local function add_many(key, leases)
  local wide = string.rep('-', 65)
  call_or_reset('ZADD', key, '0', wide, unpack(leases))
  redis.call('ZREM', key, wide)
end
-- @rare
local function void_claim(consumer, claim_id)
  redis.call('SET', record_key(consumer, claim_id), claim_id .. ' ' .. stamp .. '\n', 'PX', record_ttl(0))
end
local function record_claim(claim, claim_id, again)
  if #claim.ids == 0 then
    if again == '1' then void_claim(claim.consumer, claim_id) end
    return flush_history()
  end
  local seconds = claim.lease + claim.bytes / SLOWEST
  if claim.bytes > SLOWEST then
    claim.deadline = lease_end(seconds)
    for _, leases in pairs(claim.leases) do
      for i = 1, #leases, 2 do leases[i] = claim.deadline end
    end
  end
  local text = claim_id .. ' ' .. stamp .. '\n' .. table.concat(claim.ids, '\n')
  redis.call('SET', record_key(claim.consumer, claim_id), text, 'PX', record_ttl(seconds))
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
  local record = call_or_reset('GET', record_key(consumer, claim_id))
  local id, moment = string.match(record or '', '^(%S*) (%S+)\n')
  if id == claim_id then return record, moment end
  local run, number = string.match(claim_id, '^(.*)-(%d+)$')
  local other, last = string.match(id or '', '^(.*)-(%d+)$')
  if run and run == other and tonumber(last) > tonumber(number) then return false, moment end
end
