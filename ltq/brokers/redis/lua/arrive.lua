--[[
arrive: put values in the slots of tasks that wait for others.

The first value of a slot stays; one that has failed ('!') gives way to one that has not ('=' and the value).

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] result_ttl     seconds the state of a cancelled task is kept, if it has no result_ttl of its own
ARGV[2] notes          what is noted, see `_notes.lua`
ARGV[3...] arrivals    for each: id of the task, slot, how many it has, flags, key of the ending that is
        removed if the task goes on waiting, or '', value. flags: 'failed' (it will not come: the task is
        cancelled), 'revives' (a cancelled task waits again, if nothing else failed)

RETURNS for each 'waiting', 'full', 'stopped' (the task is cancelled) or 'ended' (it does not wait)
]]
local prefix, result_ttl, notes = KEYS[1], ARGV[1], ARGV[2]
-- @include call_or_reset, cancel_task, free_first, held, notes, ready_batch, slots
-- @constant NOTE
local history, listed = read_notes(notes)
local known, cancelled, answers, done = {}, {}, {}, {}

local function arrive(id, slot, of, flags, value)
  local task = known[id] or read_waiting(id)
  known[id] = task
  if not task.is_held and not task.is_kept then return 'ended' end
  local failed = string.find(flags, 'failed', 1, true)
  local before = fill_slot(task, slot, failed, value)
  if tonumber(slot) <= NOTE then return 'waiting' end
  task.of = of
  if failed and (not before or before == '!') then -- otherwise it has come after all
    if task.is_held then
      write_slots(task)
      cancel_task(id, task.queue, task.hash, result_ttl, listed)
      task.is_held, task.is_kept = false, redis.call('HEXISTS', prefix .. 'task:' .. id, 'body') == 1
      cancelled[task.queue] = (cancelled[task.queue] or 0) + 1
    end
    return 'stopped'
  end
  if task.is_kept then
    local revives = before == '!' and not failed and string.find(flags, 'revives', 1, true)
    if task.failed > 0 or not revives then return 'stopped' end
    restart_task(id, task.queue, task.hash, true)
    task.is_held, task.is_kept, task.hash[1] = true, false, 'delayed'
  end
  return task.values == tonumber(of) and 'full' or 'waiting'
end

free_first()
for i = 3, #ARGV, 6 do
  local answer = arrive(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 5])
  if answer == 'waiting' and ARGV[i + 4] ~= '' then done[#done + 1] = ARGV[i + 4] end
  answers[#answers + 1] = answer
end
for _, task in pairs(known) do write_slots(task) end
for queue, count in pairs(cancelled) do finish_cancels(queue, 'delayed', count, history) end
flush_ready()
if #done > 0 then call_or_reset('HDEL', prefix .. 'endings', unpack(done)) end
return answers
