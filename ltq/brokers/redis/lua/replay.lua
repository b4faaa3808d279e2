--[[
replay: enqueue dead letters again, each in the place of its task's final state.

A letter becomes its task's hash, so it is neither lost nor there twice. A repeated call (same call
id) changes nothing and gets the same answer, even if the task has died again since.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue   whose letters
ARGV[2] call    id of the call
ARGV[3...] ids

RETURNS for each id 'created', 'exists' (it waits or works: the letter stays), 'gone' (there is no
        such letter) or 'empty' (the letter has no body, and stays)
]]
local prefix, queue, call = KEYS[1], ARGV[1], ARGV[2]
-- @include time, call_or_reset, live, ready_batch

-- The answer for an id that needs no change; nil if its letter has to be enqueued.
local function known_answer(letter, task)
  local owner = letter[1] or letter[2]
  if not owner then return task[2] == call and 'created' or 'gone' end
  if letter[5] == call then return 'created' end
  if owner ~= queue then return 'gone' end
  if not letter[3] or not letter[2] then return 'empty' end
  if is_live(task[1]) then return 'exists' end
end

local function replay(id)
  local from, key = prefix .. 'dead_letter:' .. id, prefix .. 'task:' .. id
  local letter = redis.pcall('HMGET', from, 'queue', 'task', 'body', 'lane', 'replay', 'priority')
  local task = redis.pcall('HMGET', key, 'status', 'replay', 'items')
  local answer = known_answer(letter, task)
  if answer then return answer end
  call_or_reset('ZREM', prefix .. 'dead:' .. queue, id)
  redis.call('RENAME', from, key)
  if task[3] then redis.call('DEL', prefix .. 'items:' .. id) end
  redis.call('PERSIST', key)
  redis.call('HDEL', key, 'error', 'error_type', 'traceback', 'tries', 'deaths', 'release_time', 'result',
    'returned')
  redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, 'replay', call)
  add_ready(letter[4] or queue, letter[6], id)
  return 'created'
end

local answers = {}
for i = 3, #ARGV do answers[i - 2] = replay(ARGV[i]) end
flush_ready()
return answers
