-- end_tasks(group, plain, listed): make the tasks of a group of outcomes from `read_outcomes` final. `plain`
-- has the keys, by the positions of their ids, of those that have completed and have but their arguments to
-- lose, as `lease_plain` leaves them, or what `give_simple` leaves, if there is a waiter. With `listed` they
-- are listed with the final ones. Call flush_final() at the end.
-- @include time, final_list, finalize, outcomes, throughput
local function end_tasks(group, plain, listed)
  local ttl, status, fields = state_ttl(group.seconds, 0), group.status, group.fields
  local queue, has_result, is_poison = group.queue, group.flags.result, group.flags.poison
  local has_ctx = group.flags.waiter
  if group.flags.dead or group.flags.follow then fields = without('ctx', without('follow', fields)) end
  if has_ctx then fields = without('waiter', fields) end
  if has_result then fields[#fields + 1], fields[#fields + 2] = 'result', '' end
  local last = #fields
  local call, has_result_only = redis.call, has_result and last == 2
  for _, k in ipairs(group.accepted) do
    local key = ttl and plain[k]
    if has_result then fields[last] = ARGV[k + 2] end
    if key then
      if has_ctx then call('HDEL', key, 'body', 'ctx', 'result_ttl') else call('HDEL', key, 'body') end
      if has_result_only then
        call('HSET', key, 'status', status, 'release_time', stamp, 'result', ARGV[k + 2])
      else
        call('HSET', key, 'status', status, 'release_time', stamp, unpack(fields))
      end
      call('PEXPIRE', key, ttl)
    else
      local died = is_poison and redis.call('HGET', prefix .. 'task:' .. ARGV[k], 'deaths')
      finalize(ARGV[k], ttl, ARGV[k + 1], status, unpack(fields))
      if ttl and died then redis.call('HSET', prefix .. 'task:' .. ARGV[k], 'deaths', died) end
    end
    if listed then add_final(queue, ARGV[k], ttl) end
  end
  count_ended(queue, #group.accepted)
end
