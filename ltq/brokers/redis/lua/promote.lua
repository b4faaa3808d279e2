--[[
promote: make delayed tasks of a queue pending now, as if they were due.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue   whose tasks
ARGV[2] call    id of the call, so that a repeated one counts the same tasks
ARGV[3...] ids, each once

RETURNS how many were delayed
]]
local prefix, queue, call = KEYS[1], ARGV[1], ARGV[2]
-- @constant HELD
-- @include time, call_or_reset, free_first, ready_batch, become_due, reindex
local promoted, delayed = 0, prefix .. 'delayed:' .. queue
free_first()
for i = 3, #ARGV do
  local id = ARGV[i]
  local key = prefix .. 'task:' .. id
  local values = redis.pcall('HMGET', key, 'status', 'queue', 'task', 'promote', 'lane', 'priority',
    'requeue_count', 'token')
  if not values.err and (values[2] or values[3]) == queue then
    local due = values[1] == 'delayed' and tonumber(call_or_reset('ZSCORE', delayed, id) or nil)
    if values[1] == 'delayed' and not (due and due >= HELD) then -- those wait for others, not for their time
      call_or_reset('ZREM', delayed, id)
      redis.call('HSET', key, 'promote', call)
      become_due(id, queue, { lane = values[5], priority = values[6], requeue_count = values[7],
        token = values[8], due = due and at(math.min(now, due)) })
      promoted = promoted + 1
    elseif values[4] == call then
      promoted = promoted + 1
    end
  end
end
reindex('due', 'delayed:', queue)
flush_ready()
return promoted
