-- record(): write down leases and the claim, so that repeated(record) can answer it again, and
-- hold the leases from then on. After `lease`.
local function record()
  if #tasks == 0 then return end
  local ids = { claim_id }
  for i, task in ipairs(tasks) do ids[i + 1] = task[1] end
  redis.call('SET', prefix .. 'claim:' .. consumer, table.concat(ids, '\n'), 'PX',
    string.format('%.0f', math.max(1, lease * 1000)))
  for queue, of_queue in pairs(leases) do
    call_or_reset('ZADD', prefix .. 'leases:' .. queue, unpack(of_queue))
    call_or_reset('ZADD', prefix .. 'expiry', 'LT', deadline, queue)
  end
end
local function repeated(record_)
  redis.call('DEL', prefix .. 'none') -- under OOM a script may write if its first write frees
  for id in string.gmatch(string.match(record_, '\n(.*)'), '[^\n]+') do
    local values = redis.pcall('HMGET', keys .. id, 'status', 'worker', 'token', 'dequeue_count',
      'queue', 'task')
    if not values.err and values[1] == 'working' and values[2] == consumer then
      local fields = redis.call('HGETALL', keys .. id)
      fields[#fields + 1] = 'dequeue_count' -- as it was before the claim
      fields[#fields + 1] = string.format('%.0f', tonumber(values[4]) - 1)
      add(id, values[3], fields)
      call_or_reset('ZADD', prefix .. 'leases:' .. (values[5] or values[6]), 'XX', deadline, id)
    end
  end
  return { '0', lost, tasks, stamp, '', '' }
end
