-- repeat_claim(claim, claim_id, known, woken, late): if that is the consumer's last claim, give those tasks
-- again, but for the first `known`, whose leases still hold, and renew the leases and the record. If they
-- have too many bytes, it gives the first ones. If it gave none, or the consumer has claimed again since, it
-- gives nothing. Then, and if it is `late`, as the consumer has given it up, what waits in the lanes `woken`
-- is left to others. Returns the reply, or nil. `claim` is that of `claim.lua`.
-- @include time, call_or_reset, claim_record, free_first, give, given, isolation, lease_end, names, wake
-- @constant SLOWEST
-- @rare
local function wake_each(lanes)
  for _, lane in ipairs(lanes) do wake(lane) end
end
-- @rare
local function repeat_claim(claim, claim_id, known, woken, late)
  local record, claimed = find_claim(claim.consumer, claim_id)
  if record == nil then return nil end
  free_first()
  local position, rest, held = 0, false, {}
  for id in string.gmatch(string.match(record or '\n', '\n(.*)'), '[^\n]+') do
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
  redis.call('PEXPIRE', record_key(claim.consumer, claim_id), record_ttl(seconds))
  if late or position == 0 then wake_each(names_in(woken)) end
  claim.reply[1], claim.reply[3] = rest and 'part' or 'repeated', claimed
  claim.reply[4], claim.reply[7] = at(0), rest
  return claim.reply
end
