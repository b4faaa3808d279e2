--[[
restart: send cancelled tasks again, under their ids, if their arguments were kept.

KEYS[1] prefix   of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] is_held  '1' if they wait for others, as before, else ''
ARGV[2...] ids

RETURNS how many were
]]
local prefix, is_held = KEYS[1], ARGV[1]
-- @include free_first, held, ready_batch
local count = 0
free_first()
for i = 2, #ARGV do
  local key = prefix .. 'task:' .. ARGV[i]
  local hash = redis.pcall('HMGET', key, 'status', 'task', 'queue', 'lane', 'priority', 'body')
  if not hash.err and hash[1] == 'cancelled' and hash[2] and hash[6] then
    restart_task(ARGV[i], hash[3] or hash[2], hash, is_held == '1')
    count = count + 1
  end
end
flush_ready()
return count
