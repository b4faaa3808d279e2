--[[
cancel_each: make tasks final as cancelled, wherever they are, and tell the workers that run them.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] result_ttl  seconds a state is kept, if the task has no result_ttl of its own
ARGV[2] notes       what is noted, see `_notes.lua`
ARGV[3...] ids

RETURNS how many were cancelled: unknown and final ones are not
]]
local prefix, result_ttl, notes = KEYS[1], ARGV[1], ARGV[2]
-- @include free_first, cancel_task, live, notes
local history, listed = read_notes(notes)
local total, counts = 0, {}
free_first()
for i = 3, #ARGV do
  local hash = read_task(ARGV[i])
  local queue = not hash.err and (hash[3] or hash[2])
  if queue and is_live(hash[1]) then
    cancel_task(ARGV[i], queue, hash, result_ttl, listed)
    local of_queue = counts[queue] or {}
    counts[queue], of_queue[hash[1]] = of_queue, (of_queue[hash[1]] or 0) + 1
    total = total + 1
  end
end
for queue, by_status in pairs(counts) do
  for status, count in pairs(by_status) do finish_cancels(queue, status, count, history) end
end
return total
