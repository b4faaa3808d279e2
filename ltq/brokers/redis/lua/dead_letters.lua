--[[
dead_letters: read dead letters.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of bodies and errors; the reply ends with the letter that reaches it
ARGV[2...] ids

RETURNS for each id, or for the first ones, the values of {status, task, queue, release_time,
        enqueue_time, tries, dequeue_count, requeue_count, deaths, worker, body, error, error_type,
        traceback, serializer, tags}, the first one nil if there is no such letter
]]
-- @constant TASK_BYTES
local prefix, most_bytes, letters, size = KEYS[1], tonumber(ARGV[1]), {}, 0
for i = 2, #ARGV do
  if size >= most_bytes and i > 2 then break end
  local hash = redis.pcall('HMGET', prefix .. 'dead_letter:' .. ARGV[i], 'status', 'task', 'queue',
    'release_time', 'enqueue_time', 'tries', 'dequeue_count', 'requeue_count', 'deaths', 'worker', 'body',
    'error', 'error_type', 'traceback', 'serializer', 'tags')
  letters[i - 1] = hash.err and { false } or hash
  size = size + TASK_BYTES
  for k = 11, #hash do size = size + #(hash[k] or '') end
end
return letters
