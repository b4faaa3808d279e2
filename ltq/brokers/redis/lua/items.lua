--[[
items: read a part of each of some tasks' streams, of their last deliveries.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of items; the reply ends when it has them
ARGV[2...] parts    for each task: id; the delivery that `after` is about (of another one all items are
        read); after (how many items come before these); limit (most items)

RETURNS for each task, or for the first ones, {attempt, first, total} and the items: the number of the last
        delivery, how many items came before these, and how many there are; {} if there is no such task
]]
local prefix, most_bytes, size, reply = KEYS[1], tonumber(ARGV[1]), 0, {}
local function read(id, attempt, after, limit)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'dequeue_count', 'items')
  if hash.err or not hash[1] then return {} end
  local list, count = prefix .. 'items:' .. id, hash[2] or '0'
  local of, total = string.match(hash[3] or '', '^(%d+) (%d+)$')
  if of ~= count then total = '0' end
  if attempt ~= count then after = 0 end
  local kept = redis.pcall('LLEN', list)
  if type(kept) ~= 'number' then kept = 0 end
  local before = tonumber(total) - kept -- that are not kept any more
  local first = math.max(after, before)
  local found, start = { count, string.format('%.0f', first), total }, first - before
  while total ~= '0' and kept > 0 and limit > 0 and size < most_bytes do
    local some = redis.call('LRANGE', list, start, start + math.min(limit, 50) - 1)
    for _, item in ipairs(some) do
      if size < most_bytes then
        found[#found + 1], size = item, size + #item
      end
    end
    if #some < math.min(limit, 50) then break end
    start, limit = start + #some, limit - #some
  end
  return found
end
for i = 2, #ARGV, 4 do
  if size >= most_bytes and i > 2 then break end
  reply[#reply + 1] = read(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
end
return reply
