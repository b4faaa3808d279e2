--[[
send: enqueue tasks, each once by its id.

KEYS[1] prefix        of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again         '1' if this call may have been carried out before, else ''
ARGV[2...] groups     a group for tasks that differ only in id and body:
        queue, lane, priority, delay, eta, tasks, conditions, fields; then `conditions` names and
        values of conditions; `fields` names and values of the tasks' hashes, `task` first; then id
        and body of each of `tasks` tasks.
        delay: seconds from now. eta: Unix seconds, or ''.
        conditions: max_pending (most waiting tasks); fingerprint and unique_for (no other task with
        this fingerprint within that many milliseconds); id_may_be_old (an earlier task may have had
        the id).

RETURNS {new_queues, answers...}: how many of the queues are new; for each task 'created', 'exists',
        'id_conflict' (another task has the id), 'duplicate' (one with that fingerprint was sent) or 'full';
        or instead of them the number of tasks, if all were created
]]
local prefix, again = KEYS[1], ARGV[1]
-- @include fast_path
if again == '' then
  local reply = send_plain(2)
  if reply then return reply end
end

-- @include group, ready_batch, send
local answers, i = { 0 }, 2
while i <= #ARGV do
  local group = read_group(i)
  for k = group.first_id, group.last_body, 2 do
    answers[#answers + 1] = send_task(group, ARGV[k], ARGV[k + 1], again)
  end
  i = group.last_body + 1
end
flush_ready()
answers[1] = count_new_queues()
return answers
