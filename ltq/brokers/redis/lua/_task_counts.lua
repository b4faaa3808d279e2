-- count_tasks(queue, groups): how many tasks these groups of a queue have in all: 'pending', 'delayed' and
-- 'working', each between line feeds.
-- @include call_or_reset, names, ready_lines, skipped
local function count_tasks(queue, groups)
  local total = 0
  if has(groups, 'pending') then
    for _, line in ipairs(ready_lines(queue)) do total = total + count_waiting(line[1]) end
  end
  if has(groups, 'delayed') then total = total + call_or_reset('ZCARD', prefix .. 'delayed:' .. queue) end
  if has(groups, 'working') then total = total + call_or_reset('ZCARD', prefix .. 'leases:' .. queue) end
  return total
end
