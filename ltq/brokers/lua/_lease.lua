-- take(id, lane): lease one task and add it to `tasks`; what is not a pending task is counted in
-- `lost`, or buried where its key is not a hash at all.
-- record(): write down leases and the claim, so that repeated(record) can answer it again.
local tasks, lost = {}, 0
local leases = {}
local function read(key)
  return redis.pcall('HMGET', key, 'status', 'task', 'queue', 'body', 'ctx', 'tries',
    'dequeue_count', 'deaths', 'enqueue_time', 'timeout', 'max_tries', 'result_ttl', 'token')
end
local function add(id, hash, count, token)
  table.insert(tasks, { id, hash[3] or hash[2], token, hash[2], hash[4], hash[5], hash[6], count,
    hash[8], hash[9], hash[10], hash[11], hash[12] })
end
local function take(id, lane)
  local key = prefix .. 'task:' .. id
  local hash = read(key)
  if hash.err then
    bury(key, string.match(lane, '^[^/]*'), id, 'status', 'rejected',
      'error', 'the key of the task does not hold a hash')
  end
  if hash.err or hash[1] ~= 'pending' or not hash[2] then
    lost = lost + 1
    return
  end
  local count = string.format('%.0f', (tonumber(hash[7]) or 0) + 1)
  local token = string.format('%.0f', math.max((tonumber(hash[13]) or 0) + 1, now * 1e6))
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', count, 'last_dequeue_time', stamp,
    'worker', consumer, 'token', token)
  add(id, hash, count, token)
  local queue = hash[3] or hash[2]
  leases[queue] = leases[queue] or {}
  table.insert(leases[queue], at(now + lease))
  table.insert(leases[queue], id)
end
local function record()
  if #tasks == 0 then return end
  local ids = { claim_id }
  for _, task in ipairs(tasks) do table.insert(ids, task[1]) end
  redis.call('SET', prefix .. 'claim:' .. consumer, table.concat(ids, '\n'), 'PX',
    string.format('%.0f', lease * 1000))
  for queue, pairs_ in pairs(leases) do
    redis.call('ZADD', prefix .. 'leases:' .. queue, unpack(pairs_))
    redis.call('ZADD', prefix .. 'expiry', 'LT', at(now + lease), queue)
  end
end
local function repeated(record_)
  for id in string.gmatch(string.match(record_, '\n(.*)'), '[^\n]+') do
    local hash = read(prefix .. 'task:' .. id)
    local worker = redis.pcall('HGET', prefix .. 'task:' .. id, 'worker')
    if not hash.err and hash[1] == 'working' and worker == consumer then
      add(id, hash, hash[7], hash[13])
    end
  end
  return { '0', lost, tasks }
end
