--[[
dead_letters: read dead letters.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] ids

RETURNS for each id the values of {status, task, queue, body, error, error_type, traceback,
        release_time, enqueue_time, tries, dequeue_count, requeue_count, deaths, worker}, the first
        one nil if there is no such letter
]]
local prefix, letters = KEYS[1], {}
for i, id in ipairs(ARGV) do
  local hash = redis.pcall('HMGET', prefix .. 'dead_letter:' .. id, 'status', 'task', 'queue', 'body',
    'error', 'error_type', 'traceback', 'release_time', 'enqueue_time', 'tries', 'dequeue_count',
    'requeue_count', 'deaths', 'worker')
  letters[i] = hash.err and { false } or hash
end
return letters
