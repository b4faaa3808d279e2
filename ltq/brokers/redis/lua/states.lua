--[[
states: read tasks, without their bodies.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of results, errors and progress; the reply ends with the task that reaches it
ARGV[2...] ids

RETURNS for each id, or for the first ones, the values of {status, task, queue, enqueue_time,
        last_dequeue_time, last_requeue_time, release_time, dequeue_count, requeue_count, timeout,
        worker, progress, result, error, error_type, traceback, deaths}, the due time of a delayed task,
        its serializer, priority, tries, tags, items and token; the first one is nil if there is no such task
]]
-- @constant TASK_BYTES
local prefix, most_bytes, states, size = KEYS[1], tonumber(ARGV[1]), {}, 0
for i = 2, #ARGV do
  if size >= most_bytes and i > 2 then break end
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. ARGV[i], 'status', 'task', 'queue',
    'enqueue_time', 'last_dequeue_time', 'last_requeue_time', 'release_time', 'dequeue_count',
    'requeue_count', 'timeout', 'worker', 'progress', 'result', 'error', 'error_type', 'traceback',
    'deaths', 'serializer', 'priority', 'tries', 'tags', 'items', 'token')
  if not hash.err then table.insert(hash, 18, false) end
  if hash[1] == 'delayed' then
    local due = redis.pcall('ZSCORE', prefix .. 'delayed:' .. (hash[3] or hash[2] or ''), ARGV[i])
    hash[18] = type(due) == 'string' and due
  end
  states[i - 1] = hash.err and { false } or hash
  size = size + TASK_BYTES
  for k = 12, 16 do size = size + #(hash[k] or '') end
end
return states
