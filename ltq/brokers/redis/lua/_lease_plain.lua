-- is_plain(claim, fields): whether a task, by the fields and values of its hash, waits in its own queue as it
-- was sent, without options, and the claim gives it from any lane.
-- lease_plain(claim, id, key, fields): lease such a task, as most are, and add it to the claim in the short
-- form, as a table of its fields, and their names in the reply, would cost more than the rest. Its token says
-- when that was. A task that works and has no `last_dequeue_time` has nothing but these fields, on which
-- `finish` relies.
-- `claim` is that of `claim.lua`.
-- @include names, tokens, waits
-- @constant TASK_BYTES
local function is_plain(claim, fields)
  return not fields[9] and fields[7] == 'task' and fields[5] == 'body' and fields[3] == 'enqueue_time'
    and fields[1] == 'status' and fields[2] == 'pending'
    and not claim.has_limits and knows_task(claim.knows, fields[8])
end
local function lease_plain(claim, id, key, fields)
  local ids, reply, sent, body, task = claim.ids, claim.reply, fields[4], fields[6], fields[8]
  local token = next_token(#ids)
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', '1', 'worker', claim.consumer,
    'token', token)
  local i = #reply
  reply[i + 1], reply[i + 2], reply[i + 3] = id, token, -1
  reply[i + 4], reply[i + 5], reply[i + 6] = sent, body, task
  ids[#ids + 1] = id
  claim.bytes = claim.bytes + TASK_BYTES + #body
  if claim.history then note_wait(task, sent) end
  local leases = claim.leases[task] or {}
  claim.leases[task], i = leases, #leases
  leases[i + 1], leases[i + 2] = claim.deadline, id
end
