-- new_claim(consumer, lease, limit, running, ignore_isolation): the state of a claim, with these fields:
--   consumer, running, ignore_isolation   as they were asked for
--   lease      seconds of a lease
--   deadline   the end of its leases, as text
--   limit      most tasks to give; an isolated task lowers it
--   tasks      what it gives: for each task {id, token, fields and values of its hash, isolation or false}
--   leases     by queue: deadline and id of each leased task, as ZADD takes them
--   bytes      of the bodies in `tasks`
--   lost       how many ids had no usable hash
--   void       how many ids gave no task, the lost ones included
--   isolation  the smallest isolation that a task needs which was left, if any
--   is_full    whether it gives fewer tasks than there are, because of their bytes
-- @include lease_end
local function new_claim(consumer, lease, limit, running, ignore_isolation)
  return { consumer = consumer, lease = lease, deadline = lease_end(lease), limit = limit, running = running,
    ignore_isolation = ignore_isolation, tasks = {}, leases = {}, bytes = 0, lost = 0, void = 0,
    isolation = nil, is_full = false }
end
