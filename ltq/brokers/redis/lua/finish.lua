--[[
finish: record what became of deliveries, each fenced by its lease's token.

A final status ends a task; 'pending' and 'delayed' put it back. The same by the same token again is 'ok'.

KEYS[1] prefix         of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] notes          what is noted, see `_notes.lua`
ARGV[2] told           of outcomes that all complete and keep a small result, to tell who watches them: the
        number of the database; else ''
ARGV[3...] groups      a group for outcomes that differ only in id, token and result:
        queue, status, seconds, flags, outcomes, fields; then `fields` names and values to set; then
        id, token and result of each of `outcomes` outcomes. seconds: how long a final state is kept, or
        the delay of 'delayed'. flags: 'dead' (leave a letter), 'result' (keep it), 'failed' (count a run),
        'front' (of its lane), 'poison', 'void' (deaths stay), 'keep' (the last error), 'follow',
        'waiter'. fields: `ctx` is for the letter, `serializer` for the state, `follow` for the ending,
        and `waiter` is the slot, how many there are, and the id of a task that waits for the results.

RETURNS nothing if all are 'ok'; one 'arrived' if all are that; else for each outcome 'ok', 'arrived' (and so
        has its result, at its waiter), 'stale', 'cancelled' or 'gone'
]]
local prefix, notes, told = KEYS[1], ARGV[1], ARGV[2]
-- @include accept, call_or_reset, outcomes, reindex, end_tasks, fence, final_list, notes
-- @include outcome_history, tell
local history, listed = read_notes(notes)
-- First all outcomes are checked. Then the leases are removed, which frees memory. Then the rest is written.
local answers, groups, released, simple, i, before = {}, {}, {}, {}, 3, 0
local is_rare, is_doubtful, arrived = false, false, 0
while i <= #ARGV do
  local group = read_outcomes(i, before)
  local ids = released[group.queue] or {}
  is_doubtful = accept(group, ids, simple, answers) or is_doubtful
  groups[#groups + 1] = group
  if #group.accepted > 0 then released[group.queue] = ids end
  is_rare = is_rare or group.flags.dead or group.puts_back or group.flags.follow or group.flags.waiter
  i, before = group.last_result + 1, before + group.count
end
for queue, ids in pairs(released) do
  local removed = call_or_reset('ZREM', prefix .. 'leases:' .. queue, unpack(ids))
  is_doubtful = is_doubtful or removed < #ids
  reindex('lease_ends', 'leases:', queue)
end
if is_doubtful then fence_again(groups, answers) end
local function end_all()
  for _, group in ipairs(groups) do
    if #group.accepted > 0 and not group.puts_back then end_tasks(group, listed) end
  end
  flush_final()
  if history then count_outcomes(groups) end
  if told ~= '' then tell(groups, told) end
  if arrived == before then return { 'arrived' } end
  if is_doubtful or arrived > 0 then answers = all_answers(answers, before) end
  return answers
end
if not is_rare then return end_all() end
-- @include bury, early, requeue, ready_batch, ending
for _, group in ipairs(groups) do
  if group.flags.waiter then arrived = arrived + arrive_early(group, answers, simple) end
  for _, k in ipairs(group.accepted) do
    if group.puts_back then
      requeue(ARGV[k], ARGV[k + 1], group)
    elseif group.flags.dead then
      if not group.flags.poison then redis.call('HDEL', prefix .. 'task:' .. ARGV[k], 'deaths') end
      bury(ARGV[k], group.queue, 'status', group.status, unpack(without('serializer', group.fields)))
    elseif group.flags.follow then
      note_follow(ARGV[k], group.status, ARGV[k + 2], group.fields)
    end
  end
end
flush_ready()
return end_all()
