-- new_claim(consumer, lease, limit, most_bytes, running, rules): the state of a claim, with these fields:
--   consumer, most_bytes, running   the arguments
--   ignore_isolation, patience, knows, limits, history   from `rules`
--   lease      seconds of a lease
--   deadline   when its leases end, as text
--   limit      most tasks to give; an isolated task lowers it
--   tasks      the tasks it gives, each as {id, token, fields and values of its hash, isolation or false}
--   leases     by queue: deadline and id of each leased task, as ZADD takes them
--   bytes      the size of `tasks`
--   lost       how many ids had no usable hash
--   void       how many ids gave no task, with the lost ones
--   isolation  the smallest isolation that a refused task needs, if any was refused
--   lanes_for  by lane and name of a task, the lane to which it is moved; false if it is given
--   moved      by "<priority>:<lane>", the ids of moved tasks
--   is_full    whether it stopped because the bodies had too many bytes
-- @include lease_end
local function new_claim(consumer, lease, limit, most_bytes, running, rules)
  return { consumer = consumer, most_bytes = most_bytes, lease = lease, deadline = lease_end(lease),
    limit = limit, running = running, ignore_isolation = rules.ignore_isolation,
    patience = rules.patience, history = rules.history,
    knows = rules.knows, limits = rules.limits, tasks = {}, leases = {}, lanes_for = {}, moved = {},
    bytes = 0, lost = 0, void = 0, isolation = nil, is_full = false }
end
