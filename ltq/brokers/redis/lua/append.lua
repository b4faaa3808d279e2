--[[
append: add items to the streams of running tasks. Those of an earlier delivery go.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] streams  for each task: id, token of its lease, first (how many items of this delivery came before
        these), most (how many are kept), and how many items there are; then these. Those that are there
        already are not added again

RETURNS for each task 1, or 0 if the lease is lost
]]
local prefix, answers, i = KEYS[1], {}, 1
-- @include call_or_reset, claimed_at
-- @constant ITEMS_TTL
local function append(id, token, first, most, begin, last)
  local key, list = prefix .. 'task:' .. id, prefix .. 'items:' .. id
  local hash = redis.pcall('HMGET', key, 'status', 'token', 'dequeue_count', 'items', 'last_dequeue_time')
  if hash.err or hash[1] ~= 'working' or hash[2] ~= token then return 0 end
  local attempt, total = string.match(hash[4] or '', '^(%d+) (%d+)$')
  total = tonumber(total)
  if attempt ~= hash[3] or first > total then -- another delivery, or the server has lost some
    redis.call('DEL', list)
    total = first
  end
  begin = begin + total - first
  if begin > last then return 1 end
  for k = begin, last, 1000 do
    call_or_reset('RPUSH', list, unpack(ARGV, k, math.min(k + 999, last)))
  end
  total = total + last - begin + 1
  if total > most then call_or_reset('LTRIM', list, -most, -1) end
  redis.call('EXPIRE', list, ITEMS_TTL) -- in case that its task is lost
  redis.call('HSET', key, 'items', hash[3] .. ' ' .. string.format('%.0f', total), 'last_dequeue_time',
    claimed_at(hash[5], token))
  return 1
end
while i <= #ARGV do
  local last = i + 4 + tonumber(ARGV[i + 4])
  answers[#answers + 1] = append(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]),
    i + 5, last)
  i = last + 1
end
return answers
