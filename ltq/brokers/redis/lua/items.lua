--[[
items: read a part of a task's stream, of its last delivery.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of items; the reply ends when it has them
ARGV[2] id          the task
ARGV[3] attempt     the delivery that `after` is about: of another one all items are read
ARGV[4] after       int, how many items come before these
ARGV[5] limit       int, most items

RETURNS {attempt, first, total} and the items: the number of the last delivery, how many items came
        before these, and how many there are; nothing if there is no such task
]]
local prefix, most_bytes, id, attempt = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local after, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
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
local reply, size, start = { count, string.format('%.0f', first), total }, 0, first - before
while total ~= '0' and kept > 0 and limit > 0 and size < most_bytes do
  local some = redis.call('LRANGE', list, start, start + math.min(limit, 50) - 1)
  if #some == 0 then break end
  for _, item in ipairs(some) do
    if size < most_bytes then
      reply[#reply + 1], size = item, size + #item
    end
  end
  start, limit = start + #some, limit - #some
end
return reply
