--[[
unclaim: let claimed tasks that nobody has begun wait again, as before their claim, in front of their lanes.

Each is given back only while the consumer holds it. This counts neither as a delivery nor as a death. A claim
whose tasks are given back gives nothing from then on, also if it is carried out only later.

KEYS[1] prefix       of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] consumer     its name
ARGV[2] claim_id     of a claim whose tasks have not all arrived, else ''
ARGV[3] known        int, how many of its tasks, from the first on, are not given back
ARGV[4] history      '1' if its claims are counted in the history, else ''
ARGV[5...] leases    for each further task to give back: id and token of its lease, and when it was claimed

RETURNS how many were given back
]]
local prefix, consumer, claim_id, known, history = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
-- @include call_or_reset, claim_record, forget_wait, ready_batch, reindex

local wanted = {} -- {id, token or false, when it was claimed}, in the order in which they were claimed
for i = 5, #ARGV, 3 do wanted[#wanted + 1] = { ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]) } end
local record, claimed_at
if claim_id ~= '' then record, claimed_at = find_claim(consumer, claim_id) end
if record then
  local position = 0
  for id in string.gmatch(string.match(record, '\n(.*)'), '[^\n]+') do
    position = position + 1
    if position > known then wanted[#wanted + 1] = { id, false, tonumber(claimed_at) } end
  end
end

local count, queues = 0, {}
for _, one in ipairs(wanted) do
  local id, token = one[1], one[2]
  local key = prefix .. 'task:' .. id
  local hash = redis.pcall('HMGET', key, 'status', 'worker', 'token', 'dequeue_count', 'queue', 'task',
    'lane', 'priority', 'enqueue_time', 'last_requeue_time', 'last_dequeue_time')
  local is_held = not hash.err and hash[1] == 'working' and hash[2] == consumer
  if is_held and (not token or hash[3] == token) then
    local queue, deliveries = hash[5] or hash[6], (tonumber(hash[4]) or 1) - 1
    call_or_reset('ZREM', prefix .. 'leases:' .. queue, id)
    -- With another token nobody can end it by the lease that it had.
    local new_token = string.format('%.0f', tonumber(hash[3]) + 1)
    redis.call('HSET', key, 'status', 'pending', 'token', new_token, 'returned', new_token .. ' front')
    if deliveries > 0 then
      redis.call('HSET', key, 'dequeue_count', string.format('%.0f', deliveries))
    else
      redis.call('HDEL', key, 'dequeue_count', 'last_dequeue_time', 'worker')
    end
    add_ready(hash[7] or queue, hash[8], id, tonumber(new_token))
    local claimed = tonumber(hash[11]) or one[3] -- the first claim of a task does not write it
    if history == '1' and claimed then forget_wait(queue, hash[9], hash[10], claimed) end
    count, queues[queue] = count + 1, true
  end
end
for queue in pairs(queues) do reindex('lease_ends', 'leases:', queue) end
flush_ready()
if claim_id ~= '' and record ~= false then void_claim(consumer, claim_id) end
return count
