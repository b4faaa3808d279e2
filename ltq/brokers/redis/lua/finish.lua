--[[
finish: record what became of deliveries, each fenced by its lease's token.

A final status ends the task: its body is removed, its state is kept for a while. 'pending' and
'delayed' put it back. A repeated outcome (same token, recorded already) is 'ok' and changes nothing.

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] groups      a group for outcomes that differ only in id, token and result:
        queue, status, seconds, flags, outcomes, fields; then `fields` names and values to set; then
        id, token and result of each of `outcomes` outcomes.
        seconds: how long a final state is kept, or the delay of 'delayed'.
        flags: words, with spaces between: 'dead' (leave a dead letter), 'result' (keep the result),
        'failed' (count a failed run), 'front' (to the front of its lane).

RETURNS for each outcome 'ok', 'stale', 'cancelled' or 'gone'
]]
local prefix = KEYS[1]
-- @include call_or_reset, outcomes, reindex, finalize, fence, throughput

-- First all outcomes are checked. Then the leases are removed, which frees memory. Then the rest is written.
local answers, groups, released, seen, is_rare, i = {}, {}, {}, {}, false, 1
while i <= #ARGV do
  local group = read_outcomes(i)
  local accepted, ids = group.accepted, released[group.queue] or {}
  for k = group.first_id, group.last_result, 3 do
    local id, token = ARGV[k], ARGV[k + 1]
    local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token', 'returned')
    local answer = fence(id, hash, token, group.status)
    if not answer and not seen[id] then
      seen[id], accepted[#accepted + 1], ids[#ids + 1] = true, k, id
    end
    answers[#answers + 1] = answer or 'ok'
  end
  if #accepted > 0 then groups[#groups + 1], released[group.queue] = group, ids end
  is_rare = is_rare or group.is_dead or puts_back(group.status)
  i = group.last_result + 1
end
for queue, ids in pairs(released) do
  call_or_reset('ZREM', prefix .. 'leases:' .. queue, unpack(ids))
  reindex('lease_ends', 'leases:', queue)
end

local function end_tasks(group)
  local ttl, fields = state_ttl(group.seconds, 0), group.fields
  if group.has_result then fields[#fields + 1], fields[#fields + 2] = 'result', '' end
  for _, k in ipairs(group.accepted) do
    if group.has_result then fields[#fields] = ARGV[k + 2] end
    finalize(ARGV[k], ttl, ARGV[k + 1], group.status, unpack(fields))
  end
end
local function end_all()
  local ended = {}
  for _, group in ipairs(groups) do
    if not puts_back(group.status) then
      end_tasks(group)
      ended[group.queue] = (ended[group.queue] or 0) + #group.accepted
    end
  end
  for queue, count in pairs(ended) do count_ended(queue, count) end
end
if not is_rare then
  end_all()
  return answers
end

-- @include bury, requeue, ready_batch
for _, group in ipairs(groups) do
  for _, k in ipairs(group.accepted) do
    if puts_back(group.status) then
      requeue(ARGV[k], ARGV[k + 1], group)
    elseif group.is_dead then
      redis.call('HDEL', prefix .. 'task:' .. ARGV[k], 'deaths') -- its letter counts none either
      bury(ARGV[k], group.queue, 'status', group.status, unpack(group.fields))
    end
  end
end
flush_ready()
end_all()
return answers
