--[[
tasks: list tasks of a queue, those of one group, from a position on.

KEYS[1]  prefix       of all keys of the namespace, "ltq:{namespace}:"
ARGV[1]  most_bytes   of the tasks; the reply ends with the one that reaches it
ARGV[2]  queue
ARGV[3]  group        'pending', 'delayed', 'working' or 'final'
ARGV[4]  statuses     of those that match, each between line feeds
ARGV[5]  task_name    of those that match, or ''
ARGV[6]  tag          of those that match, or ''
ARGV[7]  limit        int, most tasks
ARGV[8]  most_looked  int, most ids to look at
ARGV[9]  start        when the run of pages began, in Unix seconds, or '' for now
ARGV[10] counted      groups to count, each between line feeds; not 'final'
ARGV[11] line         "<priority>:<lane>" of the pending task that was looked at last; else ''
ARGV[12] index        int, its position in that line
ARGV[13] moment       what it had in the order of its group, as text
ARGV[14...] ids       of those looked at last, the latest one last; none if the group begins

RETURNS {start, tasks, looked, is_large, total, position}: for each task {id, fields and values of its hash,
        what it has in the order of its group or nil}; how many ids were looked at; 1 if there are as many
        bytes as there may be; how many tasks the counted groups have; {line, index, moment, ids...} of
        what was looked at last, or nil at the end of the group
]]
local prefix, most_bytes, queue, group, statuses = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local task_name, tag, limit, most_looked = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local start, counted, line, index, moment = ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12]), ARGV[13]
-- @include time, look, ready_lines, task_lines, task_counts
local LOOK_AHEAD, KEPT_IDS, ids = 100, group == 'pending' and 3 or 1, {}
for i = 14, #ARGV do ids[#ids + 1] = ARGV[i] end
if start == '' then start = stamp end

local search = { queue = queue, group = group, statuses = statuses, task_name = task_name,
  tag = tag, start = tonumber(start) }
local tasks, shown, looked, size, last = {}, {}, 0, 0, nil
local function is_full() return #tasks >= limit or looked >= most_looked or size >= most_bytes end
-- Looks at a line from a position on. Returns whether it came to its end.
local function walk(place, position)
  local seen, latest = {}, nil
  repeat
    local entries = place.read(position, math.max(limit, LOOK_AHEAD))
    for _, entry in ipairs(entries) do
      if is_full() then break end
      local fields, bytes = look(search, entry)
      if fields and not shown[entry[1]] then -- a skipped entry may have the id of a task behind it
        shown[entry[1]], size = true, size + bytes
        tasks[#tasks + 1] = { entry[1], fields, entry[2] or false }
      end
      seen[#seen + 1], latest, looked, position = entry[1], entry, looked + 1, position + 1
    end
  until #entries == 0 or is_full()
  if latest then
    last = { place.name, position - 1, place.moment(latest), unpack(seen, math.max(1, #seen - KEPT_IDS + 1)) }
  end
  return #place.read(position, 1) == 0
end

local is_end, is_behind = true, #ids == 0
for _, place in ipairs(task_lines(queue, group)) do
  local is_same = place.name == line
  if not is_end or is_full() then
    is_end = false
  elseif not is_behind and is_same then
    is_end = walk(place, place.resume(index, moment, ids))
  elseif is_behind or is_line_after(place.name, line, queue) then
    is_end = walk(place, 0)
  end
end
if is_end then forget_dead(search) end
return { start, tasks, looked, size >= most_bytes and 1 or 0, count_tasks(queue, counted),
  not is_end and last }
