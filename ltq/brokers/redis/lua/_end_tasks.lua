-- end_tasks(group, listed): make the tasks of a group of outcomes from `read_outcomes` final. Those that are
-- `plain` are as `lease_plain` leaves them, or as `give_simple` does if there is a waiter: what they lose
-- becomes an empty `body`, as a command for each field that goes would cost more. With `listed` they are
-- listed with the final ones. Call flush_final() at the end.
-- @include time, final_list, finalize, outcomes, throughput
local function end_tasks(group, listed)
  local ttl, status, fields = state_ttl(group.seconds, 0), group.status, group.fields
  local queue, has_result, is_poison = group.queue, group.flags.result, group.flags.poison
  local has_ctx = group.flags.waiter
  if group.flags.dead or group.flags.follow then fields = without('ctx', without('follow', fields)) end
  if has_ctx then fields = without('waiter', fields) end
  if has_result then fields[#fields + 1], fields[#fields + 2] = 'result', '' end
  local last, accepted, plain, arguments = #fields, group.accepted, ttl and group.plain or {}, ARGV
  local call, has_result_only = redis.call, has_result and last == 2
  local finals = listed and ttl and finals_of(queue, ttl)
  local before = finals and #finals
  for i = 1, #accepted do
    local k, key = accepted[i], plain[i]
    local result = arguments[k + 2]
    if key then
      if has_ctx then call('HDEL', key, 'ctx', 'result_ttl') end
      if has_result_only then
        call('HSET', key, 'status', status, 'body', '', 'release_time', stamp, 'result', result)
      else
        if has_result then fields[last] = result end
        call('HSET', key, 'status', status, 'body', '', 'release_time', stamp, unpack(fields))
      end
      call('PEXPIRE', key, ttl)
    else
      local id = arguments[k]
      if has_result then fields[last] = result end
      local died = is_poison and redis.call('HGET', prefix .. 'task:' .. id, 'deaths')
      finalize(id, ttl, arguments[k + 1], status, unpack(fields))
      if ttl and died then redis.call('HSET', prefix .. 'task:' .. id, 'deaths', died) end
    end
    if finals then finals[before + i] = since .. arguments[k] end
  end
  count_ended(queue, #accepted)
end
