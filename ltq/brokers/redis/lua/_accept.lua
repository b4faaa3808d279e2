-- accept(group, ids, simple, answers): note which outcomes of a group are of a lease that holds its task:
-- in `accepted` the position of each, in `plain` the key of a task that has completed and has but its
-- arguments to lose, else false, and at the end of `ids` its id. In `simple` are the keys, by position, of
-- tasks that are as `give_simple` leaves them. The others are answered. Returns whether there were such.
-- @include fence, outcomes
local function accept(group, ids, simple, answers)
  local accepted, plain, arguments, pcall = group.accepted, group.plain, ARGV, redis.pcall
  local completes, count, others, is_doubtful = group.status == 'completed', 0, #ids, false
  local task_key = prefix .. 'task:'
  for k = group.first_id, group.last_result, 3 do
    local id, token = arguments[k], arguments[k + 1]
    local key = task_key .. id
    local hash = pcall('HMGET', key, 'token', 'last_dequeue_time')
    if hash[1] == token then
      local claimed = hash[2]
      count = count + 1
      accepted[count], ids[others + count], plain[count] = k, id, completes and not claimed and key
      if claimed == '' then simple[k] = key end
    else
      answers[position_of(k, group)] = fence(id, token, group.status)
      is_doubtful = true
    end
  end
  return is_doubtful
end
