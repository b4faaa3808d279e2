--[[
drop: remove tasks of a queue that another store has taken over.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue     whose tasks
ARGV[2...] tasks  for each its id; when it was sent, or '' for a dead letter; when that died, else ''; and
        the mark by which it is known if it was taken over here

RETURNS the ids of those that stay, as they were claimed
]]
local prefix, queue = KEYS[1], ARGV[1]
-- @include time, call_or_reset, free_first, leave_place, reindex

-- Whether a task, as it was sent then, is not here any more.
local function drop_task(id, sent)
  local key = prefix .. 'task:' .. id
  local hash = redis.pcall('HMGET', key, 'status', 'task', 'queue', 'lane', 'priority', 'enqueue_time')
  if hash.err or (hash[3] or hash[2]) ~= queue then return true end
  if at(tonumber(hash[6] or '') or 0) ~= sent then return true end
  if not leave_place(id, queue, hash) then return false end
  redis.call('DEL', key, prefix .. 'items:' .. id)
  return true
end
local function drop_letter(id, died)
  local letter = prefix .. 'dead_letter:' .. id
  local hash = redis.pcall('HMGET', letter, 'queue', 'task', 'release_time')
  if hash.err or (hash[1] or hash[2]) ~= queue or at(tonumber(hash[3] or '') or 0) ~= died then return end
  call_or_reset('ZREM', prefix .. 'dead:' .. queue, id)
  redis.call('DEL', letter)
end

free_first()
local stay = {}
for i = 2, #ARGV, 4 do
  local id, sent, died, mark = unpack(ARGV, i, i + 3)
  if sent == '' then drop_letter(id, died) end
  if sent == '' or drop_task(id, sent) then
    redis.call('DEL', prefix .. 'unique:' .. mark)
  else
    stay[#stay + 1] = id
  end
end
reindex('due', 'delayed:', queue)
return stay
