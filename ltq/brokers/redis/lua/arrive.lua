--[[
arrive: put values in the slots of tasks that wait for others.

The first value of a slot stays; one that has failed ('!') gives way to one that has not ('=' and the value).

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] result_ttl     seconds the state of a cancelled task is kept, if it has no result_ttl of its own
ARGV[2] notes          what is noted, see `_notes.lua`
ARGV[3...] arrivals    for each: id of the task, slot, how many it has, flags, value. flags: 'failed' (it will
        not come: the task is cancelled), 'revives' (a cancelled task waits again, if nothing else failed)

RETURNS for each 'waiting', 'full', 'stopped' (the task is cancelled) or 'ended' (it does not wait)
]]
local prefix, result_ttl, notes = KEYS[1], ARGV[1], ARGV[2]
-- @include free_first, held, cancel_task, notes, ready_batch, reindex
-- @constant NOTE
local history, listed = read_notes(notes)
local cancelled, answers = {}, {}

-- Put a value in its slot; return what was there, and how many slots there are, have values, have failed.
local function fill(slots, slot, of, failed, value)
  local before = redis.call('HGET', slots, slot)
  local is_new = not before or before == '!' and not failed
  if is_new then redis.call('HSET', slots, slot, failed and '!' or '=' .. value) end
  if tonumber(slot) > NOTE and is_new then
    redis.call('HSET', slots, 'of', of)
    redis.call('HINCRBY', slots, failed and 'failed' or 'values', 1)
    if before == '!' then redis.call('HINCRBY', slots, 'failed', -1) end
  end
  local counts = redis.call('HMGET', slots, 'of', 'values', 'failed')
  return before, tonumber(counts[1] or of), tonumber(counts[2] or 0), tonumber(counts[3] or 0)
end

local function arrive(id, slot, of, flags, value)
  local hash, slots = read_task(id), prefix .. 'slots:' .. id
  local queue = not hash.err and (hash[3] or hash[2])
  if not queue then return 'ended' end
  local held, is_kept = is_held(id, queue, hash[1]), hash[1] == 'cancelled'
  is_kept = is_kept and redis.call('HEXISTS', prefix .. 'task:' .. id, 'body') == 1
  if not held and not is_kept then return 'ended' end
  local failed = string.find(flags, 'failed', 1, true)
  local before, size, values, failures = fill(slots, slot, of, failed, value)
  if is_kept then redis.call('PEXPIRE', slots, redis.call('PTTL', prefix .. 'task:' .. id)) end
  if tonumber(slot) <= NOTE then return 'waiting' end
  if failed then
    if held then
      cancel_task(id, queue, hash, result_ttl, listed)
      cancelled[queue] = (cancelled[queue] or 0) + 1
    end
    return 'stopped'
  end
  if is_kept then
    if failures > 0 or before ~= '!' or not string.find(flags, 'revives', 1, true) then return 'stopped' end
    restart_task(id, queue, hash, true)
  end
  return values == size and 'full' or 'waiting'
end

free_first()
for i = 3, #ARGV, 5 do answers[#answers + 1] = arrive(unpack(ARGV, i, i + 4)) end
for queue, count in pairs(cancelled) do finish_cancels(queue, 'delayed', count, history) end
return answers
