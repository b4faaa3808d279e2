-- read_waiting(id): what is known of a task that may wait for others: `hash` from `read_task`, `queue`,
-- `is_held` (it waits), `is_kept` (it was cancelled, and may wait again), `of`, `values` and `failed` (how
-- many slots it has, and how many have values or have failed).
-- fill_slot(task, slot, failed, value): put a value in its slot, and return what was there.
-- write_slots(task): write the counts.
-- @include cancel_task, held
-- @constant NOTE
local function read_waiting(id)
  local hash, task = read_task(id), { id = id, slots = prefix .. 'slots:' .. id }
  task.hash, task.queue = hash, not hash.err and (hash[3] or hash[2])
  task.is_held = task.queue and waits_for_others(id, task.queue, hash[1])
  task.is_kept = hash[1] == 'cancelled' and redis.call('HEXISTS', prefix .. 'task:' .. id, 'body') == 1
  local counts = redis.call('HMGET', task.slots, 'of', 'values', 'failed')
  task.of, task.values, task.failed = counts[1], tonumber(counts[2] or 0), tonumber(counts[3] or 0)
  return task
end
local function fill_slot(task, slot, failed, value)
  local text, counts = failed and '!' or '=' .. value, tonumber(slot) > NOTE
  if redis.call('HSETNX', task.slots, slot, text) == 1 then
    if counts and failed then task.failed = task.failed + 1 end
    if counts and not failed then task.values = task.values + 1 end
    return
  end
  local before = redis.call('HGET', task.slots, slot)
  if before == '!' and not failed then
    redis.call('HSET', task.slots, slot, text)
    if counts then task.values, task.failed = task.values + 1, task.failed - 1 end
  end
  return before
end
local function write_slots(task)
  if not task.is_held and not task.is_kept then return end
  if task.of then
    redis.call('HSET', task.slots, 'of', task.of, 'values', task.values, 'failed', task.failed)
  end
  if task.is_kept then redis.call('PEXPIRE', task.slots, redis.call('PTTL', prefix .. 'task:' .. task.id)) end
end
