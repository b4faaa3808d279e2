--[[
go_on: let a task go on that has waited for others, and forget its slots.

KEYS[1] prefix       of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id           the task
ARGV[2] status       'pending' (it runs), 'completed' or 'rejected'
ARGV[3] body         its arguments, if it runs
ARGV[4] result_ttl   seconds a final state is kept, if the task has no result_ttl of its own
ARGV[5] notes        what is noted, see `_notes.lua`
ARGV[6...] fields    names and values of the final state

RETURNS 1; 0 if it does not wait
]]
local prefix, id, status, body, result_ttl, notes = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
-- @include time, cancel_task, final_list, finalize, free_first, held, history, notes, ready_batch, reindex
local history, listed = read_notes(notes)
local hash, key = read_task(id), prefix .. 'task:' .. id
local queue = not hash.err and (hash[3] or hash[2])
if not queue or not waits_for_others(id, queue, hash[1]) then return 0 end
free_first()
leave_held(id, queue)
if status == 'pending' then
  redis.call('DEL', prefix .. 'slots:' .. id)
  redis.call('HSET', key, 'status', status, 'body', body, 'enqueue_time', stamp, 'last_requeue_time', stamp)
  add_ready(hash[4] or queue, hash[5], id)
  flush_ready()
else
  local ttl, serializer = state_ttl(hash[7] or result_ttl, result_ttl), redis.call('HGET', key, 'serializer')
  local fields = { unpack(ARGV, 6) }
  if serializer then fields[#fields + 1], fields[#fields + 2] = 'serializer', serializer end
  finalize(id, ttl, 0, status, unpack(fields))
  if listed then add_final(queue, id, ttl) end
  flush_final()
  if history then
    note_count(queue, status, 1)
    flush_history()
  end
end
reindex('due', 'delayed:', queue)
return 1
