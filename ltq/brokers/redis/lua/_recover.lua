-- recover(id, queue, hash, is_listed): take a working task from a dead worker; return whether it was buried,
-- and listed then among the final ones. `hash` has the fields of the task, by name. Call flush_ready() and
-- flush_final() at the end.
-- @include become_due, bury, finalize, final_list
-- @constant DEFAULT_RESULT_TTL, KILLED_ONCE, KILLED_TIMES
local function recover(id, queue, hash, is_listed)
  local deaths = (tonumber(hash.deaths) or 0) + 1
  local died = string.format('%.0f', deaths)
  local token = string.format('%.0f', (tonumber(hash.token) or 0) + 1)
  local most = tonumber(hash.max_deliveries)
  if not most or deaths < most then -- without it, who claims the task decides
    return_task(id, queue, hash, 'deaths', died, 'token', token)
    return false
  end
  local text = deaths == 1 and KILLED_ONCE or string.format(KILLED_TIMES, died)
  local ttl = state_ttl(hash.result_ttl, DEFAULT_RESULT_TTL)
  bury(id, queue, 'status', 'rejected', 'error', text, 'deaths', died, 'token', token)
  finalize(id, ttl, -1, 'rejected', 'error', text, 'deaths', died, 'token', token)
  if is_listed then add_final(queue, id, ttl) end
  return true
end
