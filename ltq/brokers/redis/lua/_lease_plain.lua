-- lease_plain(claim, id, key, fields): lease a task that waits in its own queue as it was sent, without
-- options, by the fields and values of its hash, as most are. It is added to the claim in the short form, as
-- a table of its fields, and their names in the reply, would cost more than the rest. Returns whether it was
-- one, which the claim gives from any lane. Its token says when that was. A task that works and has no
-- `last_dequeue_time` has nothing but these fields, on which `finish` relies.
-- `claim` is that of `claim.lua`.
-- @include names, tokens, waits
-- @constant TASK_BYTES
local last_leases, last_wait -- those of the queue of the last one, and what was noted of it
local function lease_plain(claim, id, key, fields)
  if fields[9] or fields[7] ~= 'task' or fields[5] ~= 'body' or fields[3] ~= 'enqueue_time'
    or fields[1] ~= 'status' or fields[2] ~= 'pending' then return false end
  local ids, reply, sent, body, task = claim.ids, claim.reply, fields[4], fields[6], fields[8]
  local count, i = #ids, #reply
  local is_alike = sent == claim.sent and task == claim.task and not claim.ctx
  if not is_alike and (claim.has_limits or not knows_task(claim.knows, task)) then return false end
  local token = next_token(count)
  redis.call('HSET', key, 'status', 'working', 'dequeue_count', '1', 'worker', claim.consumer,
    'token', token)
  reply[i + 1], reply[i + 2], reply[i + 3], reply[i + 4] = id, token, -3, body
  if is_alike then
    if last_wait then last_wait.count = last_wait.count + 1 end
  else
    claim.sent, claim.task, claim.ctx, claim.ttl = sent, task, nil, nil
    reply[i + 3], reply[i + 5], reply[i + 6] = -1, sent, task
    last_leases, last_wait = claim.leases[task] or {}, claim.history and note_wait(task, sent)
    claim.leases[task] = last_leases
  end
  ids[count + 1] = id
  claim.bytes = claim.bytes + TASK_BYTES + #body
  local last = #last_leases
  last_leases[last + 1], last_leases[last + 2] = claim.deadline, id
  return true
end
