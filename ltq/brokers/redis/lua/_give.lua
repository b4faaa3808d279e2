-- give(claim, id, token, fields, isolation): add a task to those that a claim gives, in the long form.
-- A claim, as `claim.lua` makes it, has these fields:
--   consumer, most_bytes, running, ignore_isolation, patience, knows, history   its arguments
--   lease      seconds of a lease
--   deadline   when its leases end, as text
--   limit      most tasks to give; an isolated task lowers it
--   limits     those of lanes, by lane, if it has_limits
--   reply      the reply of `claim`: one list, as Redis takes long for each list in a reply
--   ids        of the tasks that it gives
--   tokens     those of their leases, if it has_limits
--   leases     by queue: deadline and id of each leased task, as ZADD takes them
--   bytes      the size of the tasks
--   sent, task, ctx, ttl   of the last one that was given in a short form; the last two may be nil
--   lost       how many ids had no usable hash
--   void       how many ids gave no task, with the lost ones
--   isolation  the smallest isolation that a refused task needs, if any was refused
--   lanes_for  by lane and name of a task, the lane to which it is moved; false if it is given
--   moved      by "<priority>:<lane>", the ids of moved tasks
--   is_full    whether it stopped because the bodies had too many bytes
--   is_left    whether it woke another consumer for what it left
--   over       the reply, if it was sent behind a blocking pop and is carried out too late
-- give_simple(claim, id, token, hash): the same in a short form, of a task in its own queue that was sent
-- without options but for its `ctx`, and perhaps a `result_ttl`, as elements of maps are. While it has no
-- more than that, its `last_dequeue_time` is empty, on which `finish` relies.
local function give(claim, id, token, fields, isolation)
  local reply, position = claim.reply, #claim.reply
  reply[position + 1], reply[position + 2], reply[position + 3] = id, token, #fields
  reply[position + 4] = isolation or false
  for i = 1, #fields do reply[position + 4 + i] = fields[i] end
  claim.ids[#claim.ids + 1] = id
  if claim.has_limits then claim.tokens[#claim.ids] = token end
end
local function give_simple(claim, id, token, hash)
  local reply, i, sent, task, ctx = claim.reply, #claim.reply, hash.enqueue_time, hash.task, hash.ctx
  local ttl = hash.result_ttl or ''
  reply[i + 1], reply[i + 2], reply[i + 3], reply[i + 4] = id, token, -3, hash.body
  if sent ~= claim.sent or task ~= claim.task or ctx ~= claim.ctx or ttl ~= claim.ttl then
    claim.sent, claim.task, claim.ctx, claim.ttl = sent, task, ctx, ttl
    reply[i + 3], reply[i + 5], reply[i + 6], reply[i + 7], reply[i + 8] = -2, sent, task, ctx, ttl
  end
  claim.ids[#claim.ids + 1] = id
  if claim.has_limits then claim.tokens[#claim.ids] = token end
end
