-- take(id, lane): lease one task and add it to `tasks`; what is not a pending task is counted in
-- `lost`, or buried where its key is not a hash at all.
-- record(): write down leases and the claim, so that repeated(record) can answer it again.
local tasks, lost = {}, 0
local leases = {}
local deadline = at(now + lease)
local micros = now * 1e6
local fresh_token = string.format('%.0f', micros)
local keys = prefix .. 'task:'
local function add(id, token, fields) tasks[#tasks + 1] = { id, token, fields } end
local function take(id, lane)
  local key = keys .. id
  local fields = redis.pcall('HGETALL', key)
  local hash = {}
  for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
  if fields.err then
    bury(key, string.match(lane, '^[^/]*'), id, 'status', 'rejected',
      'error', 'the key of the task does not hold a hash')
  end
  if hash.status ~= 'pending' or not hash.task then
    lost = lost + 1
    return
  end
  local token, last = fresh_token, tonumber(hash.token)
  if last and last >= micros and last < 9e15 then token = string.format('%.0f', last + 1) end
  local count = string.format('%.0f', (tonumber(hash.dequeue_count) or 0) + 1)
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', count, 'last_dequeue_time', stamp,
    'worker', consumer, 'token', token)
  add(id, token, fields)
  local queue = hash.queue or hash.task
  local of_queue = leases[queue] or {}
  leases[queue] = of_queue
  of_queue[#of_queue + 1] = deadline
  of_queue[#of_queue + 1] = id
end
local function record()
  if #tasks == 0 then return end
  local ids = { claim_id }
  for i, task in ipairs(tasks) do ids[i + 1] = task[1] end
  redis.call('SET', prefix .. 'claim:' .. consumer, table.concat(ids, '\n'), 'PX',
    string.format('%.0f', math.max(1, lease * 1000)))
  for queue, of_queue in pairs(leases) do
    redis.call('ZADD', prefix .. 'leases:' .. queue, unpack(of_queue))
    redis.call('ZADD', prefix .. 'expiry', 'LT', deadline, queue)
  end
end
local function repeated(record_)
  for id in string.gmatch(string.match(record_, '\n(.*)'), '[^\n]+') do
    local values = redis.pcall('HMGET', keys .. id, 'status', 'worker', 'token', 'dequeue_count')
    if not values.err and values[1] == 'working' and values[2] == consumer then
      local fields = redis.call('HGETALL', keys .. id)
      fields[#fields + 1] = 'dequeue_count' -- as it was before the claim
      fields[#fields + 1] = string.format('%.0f', tonumber(values[4]) - 1)
      add(id, values[3], fields)
    end
  end
  return { '0', lost, tasks, stamp, '' }
end
