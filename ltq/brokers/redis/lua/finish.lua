--[[
finish: record what became of deliveries, each fenced by its lease's token.

A final status ends the task: its body goes, its state stays for a while. 'pending' and 'delayed'
put it back. A repeated outcome (same token, recorded already) is 'ok' and changes nothing.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV    a group for outcomes that are alike but for id, token and result:
        queue, status, seconds, flags, outcomes, count, then `count` fields and values to set, then
        id, token and result of each of `outcomes` outcomes.
        seconds: how long a final state stays, or the delay of 'delayed'.
        flags: 'd' a dead letter, 't' uses up a try, 'f' to the front of its lane, 'r' the result, too

RETURNS for each outcome 'ok', 'stale', 'cancelled' or 'gone'
]]
local prefix, keys, ended = KEYS[1], KEYS[1] .. 'task:', {}
-- @include time
-- @include call_or_reset
-- @include reindex
-- @include finalize
-- @include fence
-- @include throughput
-- Requeue, and keep dead letters. It is rare: the functions for it are made only where it is needed.
local function put_back_and_bury(groups)
-- @include enqueue_ready
-- @include ready_batch
-- @include delay
-- @include bury
-- @include requeue
  for _, group in ipairs(groups) do
    local queue, status, seconds, flags = unpack(group)
    for _, k in ipairs(group.accepted) do
      if is_return[status] then
        requeue(ARGV[k], queue, ARGV[k + 1], status, seconds, flags, unpack(group.fields))
      elseif string.find(flags, 'd', 1, true) then
        bury(keys .. ARGV[k], queue, ARGV[k], 'status', status, unpack(group.fields))
      end
    end
  end
  flush_pushed()
end
local function record(group)
  local queue, status, seconds, flags = unpack(group)
  if is_return[status] then return end
  local life, fields, has_result = lifetime(seconds, 0), group.fields, string.find(flags, 'r', 1, true)
  if has_result then fields[#fields + 1], fields[#fields + 2] = 'result', '' end
  for _, k in ipairs(group.accepted) do
    if has_result then fields[#fields] = ARGV[k + 2] end
    close(keys .. ARGV[k], life, ARGV[k + 1], status, unpack(fields))
  end
  ended[queue] = (ended[queue] or 0) + #group.accepted
end

-- All checks come first, then leases go, which frees, and only then anything is written.
local answers, groups, over, seen, is_rare, i = {}, {}, {}, {}, false, 1
while i <= #ARGV do
  local group, accepted = { unpack(ARGV, i, i + 3) }, {}
  local queue, first = ARGV[i], i + 6 + tonumber(ARGV[i + 5])
  local ids, past = over[queue] or {}, first + 3 * tonumber(ARGV[i + 4])
  group.fields, group.accepted, i = { unpack(ARGV, i + 6, first - 1) }, accepted, past
  for k = first, past - 1, 3 do
    local id = ARGV[k]
    local hash = redis.pcall('HMGET', keys .. id, 'status', 'token', 'returned')
    local answer = check(id, hash, ARGV[k + 1], group[2])
    if not answer and not seen[id] then
      seen[id], accepted[#accepted + 1], ids[#ids + 1] = true, k, id
    end
    answers[#answers + 1] = answer or 'ok'
  end
  if #accepted > 0 then groups[#groups + 1], over[queue] = group, ids end
  is_rare = is_rare or is_return[group[2]] or string.find(group[4], 'd', 1, true)
end
for queue, ids in pairs(over) do
  call_or_reset('ZREM', prefix .. 'leases:' .. queue, unpack(ids))
  reindex('expiry', 'leases:', queue)
end
if is_rare then put_back_and_bury(groups) end
for _, group in ipairs(groups) do record(group) end
for queue, count in pairs(ended) do mark(queue, count) end
return answers
