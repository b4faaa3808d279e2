--[[
cancel: make a task final as cancelled, wherever it is, and tell the worker that runs it.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again       '1' if this call may have been carried out before, else ''
ARGV[2] id          the task
ARGV[3] result_ttl  seconds its state is kept, if the task has no result_ttl of its own
ARGV[4] notes       what is noted, see `_notes.lua`

RETURNS 'cancelled', 'final' (it was final already) or 'gone'
]]
local prefix, again, id, result_ttl, notes = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
-- @include free_first, ended, cancel_task, live, notes
local history, listed = read_notes(notes)

local hash = read_task(id)
if hash.err or not hash[1] or not (hash[2] or hash[3]) then
  return again == '1' and ended_as(id, 0) and 'cancelled' or 'gone'
end
if not is_live(hash[1]) then
  return again == '1' and hash[1] == 'cancelled' and 'cancelled' or 'final'
end
local queue = hash[3] or hash[2]
free_first()
cancel_task(id, queue, hash, result_ttl, listed)
finish_cancels(queue, hash[1], 1, history)
return 'cancelled'
