--[[
adopt: take over tasks that waited in another store, each once. They keep their times and counts.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] tasks    for each its id, queue, lane and priority; when it was sent; when it is due, or '' if it
        is pending; the mark by which it is known from then on; its fingerprint, or '', and until when no
        other one with that is enqueued; how many of its hash's fields and values come then, `task`
        first; and these

RETURNS {answers, new_queues}: for each task 'created', 'exists' or 'id_conflict' (another one has its
        id); how many of the queues are new
]]
local prefix = KEYS[1]
-- @include time, call_or_reset, ready_batch, unique, wake
-- @constant ADOPTED_TTL
local new_queues = 0

-- The answer for a task that is not taken over; nil if it is.
local function known_answer(key, mark, name, sent)
  if redis.call('EXISTS', mark) == 1 then return 'exists' end
  if redis.call('EXISTS', key) == 0 then return nil end
  local hash = redis.pcall('HMGET', key, 'task', 'enqueue_time')
  local is_it = not hash.err and hash[1] == name and at(tonumber(hash[2] or '') or 0) == sent
  return is_it and 'exists' or 'id_conflict'
end

local function wait_until(due, queue, lane, id)
  call_or_reset('ZADD', prefix .. 'delayed:' .. queue, due, id)
  call_or_reset('ZADD', prefix .. 'due', 'LT', due, queue)
  wake(lane)
end

local answers, i = {}, 1
while i <= #ARGV do
  local id, queue, lane, priority, sent, due, mark, fingerprint, ends, count = unpack(ARGV, i, i + 9)
  local first, last = i + 10, i + 9 + tonumber(count)
  local key, known_by = prefix .. 'task:' .. id, prefix .. 'unique:' .. mark
  local answer = known_answer(key, known_by, ARGV[first + 1], sent)
  if not answer then
    answer = 'created'
    redis.call('HSET', key, unpack(ARGV, first, last))
    redis.call('SET', known_by, id, 'EX', ADOPTED_TTL)
    keep_unique(fingerprint, ends, id)
    new_queues = new_queues + call_or_reset('SADD', prefix .. 'lanes', queue)
    if due == '' then add_ready(lane, priority, id) else wait_until(due, queue, lane, id) end
  end
  answers[#answers + 1], i = answer, last + 1
end
flush_ready()
return { answers, new_queues }
