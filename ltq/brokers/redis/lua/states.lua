--[[
states: read tasks, without their bodies.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] ids

RETURNS for each id the values of {status, task, queue, enqueue_time, last_dequeue_time,
        last_requeue_time, release_time, dequeue_count, requeue_count, timeout, worker, progress,
        result, error, error_type, traceback} and the due time of a delayed task; the first one is
        nil if there is no such task
]]
local prefix, states = KEYS[1], {}
for i, id in ipairs(ARGV) do
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'task', 'queue',
    'enqueue_time', 'last_dequeue_time', 'last_requeue_time', 'release_time', 'dequeue_count',
    'requeue_count', 'timeout', 'worker', 'progress', 'result', 'error', 'error_type', 'traceback')
  if hash[1] == 'delayed' then
    local due = redis.pcall('ZSCORE', prefix .. 'delayed:' .. (hash[3] or hash[2] or ''), id)
    hash[17] = type(due) == 'string' and due
  end
  states[i] = hash.err and { false } or hash
end
return states
