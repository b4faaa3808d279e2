--[[
adopt_dead: take over dead letters of another store, each once.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] letters  for each its id and queue; when its task died; the mark by which it is known from then
        on; its fingerprint and until when, as in `adopt`; how many of its hash's fields and values come
        then; and these

RETURNS {answers, new_queues}: for each letter 'created' or 'exists' (it was taken over before, or there is
        one of a later death); how many of the queues are new
]]
local prefix = KEYS[1]
-- @include call_or_reset, dead_list, unique
-- @constant ADOPTED_TTL
local new_queues = 0

local function adopt(id, queue, died, mark, first, last)
  local letter, known_by = prefix .. 'dead_letter:' .. id, prefix .. 'unique:' .. mark
  if redis.call('EXISTS', known_by) == 1 then return 'exists' end
  local before = redis.pcall('HMGET', letter, 'queue', 'task', 'release_time')
  local elsewhere = not before.err and (before[1] or before[2])
  if elsewhere and (tonumber(before[3] or '') or 0) >= tonumber(died) then return 'exists' end
  if elsewhere and elsewhere ~= queue then call_or_reset('ZREM', prefix .. 'dead:' .. elsewhere, id) end
  redis.call('DEL', letter)
  redis.call('HSET', letter, unpack(ARGV, first, last))
  redis.call('SET', known_by, id, 'EX', ADOPTED_TTL)
  new_queues = new_queues + call_or_reset('SADD', prefix .. 'lanes', queue)
  list_dead(id, queue, died)
  return 'created'
end

local answers, i = {}, 1
while i <= #ARGV do
  local id, queue, died, mark, fingerprint, ends, count = unpack(ARGV, i, i + 6)
  local first, last = i + 7, i + 6 + tonumber(count)
  local answer = adopt(id, queue, died, mark, first, last)
  if answer == 'created' then keep_unique(fingerprint, ends, id) end
  answers[#answers + 1], i = answer, last + 1
end
return { answers, new_queues }
