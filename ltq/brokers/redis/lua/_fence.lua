-- fence(id, token, status): the answer to an outcome of a lease that does not hold the task now.
-- fence_again(groups, answers): for groups of outcomes whose tokens are right, although leases were missing:
-- take from those that are accepted what is of no task that works, or its second outcome, and answer it.
-- all_answers(answers, count): the answers to so many outcomes, where those that are missing are 'ok'.
-- @include ended, outcomes
-- @rare
local function puts_back(status) return status == 'pending' or status == 'delayed' end
-- @rare
local function is_same(status, other) return status == other or puts_back(status) and puts_back(other) end
-- @rare
local function fence(id, token, status)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token')
  if hash.err or not hash[1] then
    local ended = ended_as(id, token)
    return ended == status and 'ok' or ended and 'stale' or 'gone'
  end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if puts_back(status) then
    local returned = redis.call('HGET', prefix .. 'task:' .. id, 'returned') -- the last lease that did so
    return (returned == token or returned == token .. ' front') and 'ok' or 'stale'
  end
  return hash[1] == status and hash[2] == token and 'ok' or 'stale'
end
-- @rare
local function fence_again(groups, answers)
  local seen = {}
  for _, group in ipairs(groups) do
    local positions, keys, count = group.accepted, group.plain, 0
    group.accepted, group.plain = {}, {}
    for i, k in ipairs(positions) do
      local id, answer = ARGV[k], nil
      if redis.call('HGET', prefix .. 'task:' .. id, 'status') ~= 'working' then
        answer = fence(id, ARGV[k + 1], group.status)
      elseif seen[id] then
        answer = is_same(seen[id], group.status) and 'ok' or 'stale'
      else
        seen[id], count = group.status, count + 1
        group.accepted[count], group.plain[count] = k, keys[i]
      end
      if answer then answers[position_of(k, group)] = answer end
    end
  end
end
-- @rare
local function all_answers(answers, count)
  for i = 1, count do answers[i] = answers[i] or 'ok' end
  return answers
end
