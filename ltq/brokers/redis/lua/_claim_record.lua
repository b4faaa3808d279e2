-- record_claim(claim, claim_id): write the leases of a claim, and record it for repeated calls.
-- find_claim(consumer, claim_id): the record of the consumer's last claim, if it has this id.
-- repeat_claim(claim, record): give those tasks of a recorded claim again whose leases still hold, and renew
-- the leases. `claim` comes from `new_claim`.
-- @include call_or_reset, free_first, isolation
local function record_claim(claim, claim_id)
  if #claim.tasks == 0 then return end
  local record = { claim_id }
  for i, task in ipairs(claim.tasks) do record[i + 1] = task[1] end
  redis.call('SET', prefix .. 'claim:' .. claim.consumer, table.concat(record, '\n'), 'PX',
    string.format('%.0f', math.max(1, claim.lease * 1000)))
  for queue, leases in pairs(claim.leases) do
    call_or_reset('ZADD', prefix .. 'leases:' .. queue, unpack(leases))
    call_or_reset('ZADD', prefix .. 'lease_ends', 'LT', claim.deadline, queue)
  end
end
local function find_claim(consumer, claim_id)
  local record = call_or_reset('GET', prefix .. 'claim:' .. consumer)
  return record and string.match(record, '^[^\n]*') == claim_id and record
end
local function repeat_claim(claim, record)
  free_first()
  for id in string.gmatch(string.match(record, '\n(.*)'), '[^\n]+') do
    local key = prefix .. 'task:' .. id
    local hash = redis.pcall('HMGET', key, 'status', 'worker', 'token', 'dequeue_count', 'queue', 'task',
      'deaths', 'max_deliveries')
    if not hash.err and hash[1] == 'working' and hash[2] == claim.consumer then
      local fields = redis.call('HGETALL', key)
      fields[#fields + 1] = 'dequeue_count' -- as it was before the claim
      fields[#fields + 1] = string.format('%.0f', tonumber(hash[4]) - 1)
      claim.tasks[#claim.tasks + 1] = { id, hash[3], fields, isolation_of(hash[7], hash[8]) or false }
      call_or_reset('ZADD', prefix .. 'leases:' .. (hash[5] or hash[6]), 'XX', claim.deadline, id)
    end
  end
end
