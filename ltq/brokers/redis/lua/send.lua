--[[
send: enqueue tasks, each once by its id.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again   '1' if this call may have been carried out before, else ''
ARGV    a group for tasks that are alike but for id and body:
        queue, lane, priority, delay, eta, conditions, tasks, count, then `count` fields and values
        of their hashes, `task` first, then id and body of each of `tasks` tasks.
        delay: seconds from now; eta: Unix seconds, or '';
        conditions: '', or a text "max_pending fingerprint milliseconds id" with '-' for what is
        not asked for: most waiting tasks; no other task of that fingerprint in that time; 'used'
        if the id may have been another task's before.

RETURNS for each task 'created', 'exists', 'id_conflict' (another task has the id), 'duplicate' (one of that
        fingerprint was sent) or 'full'; then 'new' if nothing was sent to one of the lanes before
]]
local prefix, again = KEYS[1], ARGV[1]
-- @include time
-- @include call_or_reset
-- @include enqueue_ready
-- @include fast_path
-- @include ready_batch
-- @include delay
-- @include send

local answers, i = {}, 2
while i <= #ARGV do
  local fields, ids = i + 8, i + 8 + tonumber(ARGV[i + 7])
  local over = ids + 2 * tonumber(ARGV[i + 6])
  for k = ids, over - 1, 2 do
    answers[#answers + 1] = send(ARGV[k], ARGV[k + 1], ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3],
      ARGV[i + 4], ARGV[i + 5], unpack(ARGV, fields, ids - 1))
  end
  i = over
end
flush_pushed()
if is_new > 0 then table.insert(answers, 'new') end
return answers
