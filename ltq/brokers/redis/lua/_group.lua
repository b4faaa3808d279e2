-- read_group(first): the group of tasks that begins at ARGV[first] (`send` describes it), with the fields:
--   queue, lane, priority, eta   as text
--   delay                        seconds
--   conditions                   by name, as text
--   first_field, last_field      positions in ARGV of the fields and values of the tasks' hashes
--   first_id, last_body          positions in ARGV of the ids, each followed by the task's body
local function read_group(first)
  local tasks, conditions, fields = unpack(ARGV, first + 5, first + 7)
  local group = { queue = ARGV[first], lane = ARGV[first + 1], priority = ARGV[first + 2],
    delay = tonumber(ARGV[first + 3]), eta = ARGV[first + 4], conditions = {} }
  group.first_field = first + 8 + tonumber(conditions)
  group.last_field = group.first_field + tonumber(fields) - 1
  group.first_id = group.last_field + 1
  group.last_body = group.last_field + 2 * tonumber(tasks)
  for i = first + 8, group.first_field - 1, 2 do group.conditions[ARGV[i]] = ARGV[i + 1] end
  return group
end
