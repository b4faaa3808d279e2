-- task_lines(queue, group): the lines of a group of tasks ('pending', 'delayed', 'working' or 'final'), in
-- their order. Each line has
--   name                           "<priority>:<lane>" of pending tasks, else ''
--   read(position, count)          up to `count` entries from a position on, where 0 is the first. Each
--                                  begins with an id; the third value is the stamp of a final task.
--                                  One of a ready list has `member` and `position` there
--   moment(entry)                  what the entry has in the order of the line, as text
--   resume(index, moment, ids)     the position behind the last of these ids, which may be gone
-- @include call_or_reset, ready_lines
-- The first position from `low` to `high` whose entry is not seen, if all before it are.
local function first_unseen(read, low, high, is_seen)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = read(middle, 1)[1]
    if entry and is_seen(entry) then low = middle + 1 else high = middle end
  end
  return low
end
local function moment_of(entry) return entry[2] end
local function ready_line(line)
  local function read(position, count)
    local entries = redis.call('LRANGE', line[2], position, position + count - 1)
    for i, id in ipairs(entries) do entries[i] = { id, member = line[1], position = position + i - 1 } end
    return entries
  end
  local function moment(entry) return string.format('%.17g', ready_since(entry[1]) or 0) end
  return { name = line[1], read = read, moment = moment, resume = function(index, since, ids)
    return ready_position(line, index, tonumber(since), ids)
  end }
end
local function timed_line(key)
  local function read(position, count)
    local entries, flat = {}, call_or_reset('ZRANGE', key, position, position + count - 1, 'WITHSCORES')
    for i = 1, #flat, 2 do entries[#entries + 1] = { flat[i], flat[i + 1] } end
    return entries
  end
  return { name = '', read = read, moment = moment_of, resume = function(_, moment, ids)
    local first, id = call_or_reset('ZCOUNT', key, '-inf', '(' .. moment), ids[#ids]
    local last = call_or_reset('ZCOUNT', key, '-inf', moment)
    return first_unseen(read, first, last, function(entry) return not comes_after(entry[1], id) end)
  end }
end
-- The newest is the last of the list, and the first of the line.
local function final_line(list)
  local length = call_or_reset('LLEN', list)
  local function read(position, count)
    local entries = {}
    local low, high = math.max(0, length - position - count), length - position - 1
    local found = high < 0 and {} or redis.call('LRANGE', list, low, high)
    for i = #found, 1, -1 do
      local stamp, id = string.match(found[i], '^(%S+) (.+)$')
      entries[#entries + 1] = { id or '', stamp or '0', stamp or '' }
    end
    return entries
  end
  return { name = '', read = read, moment = moment_of, resume = function(_, moment, ids)
    local position = first_unseen(read, 0, length, function(entry)
      return (tonumber(entry[2]) or 0) > tonumber(moment)
    end)
    repeat -- those that ended in the same call are in no order
      local entry = read(position, 1)[1]
      local is_same = entry and entry[2] == moment
      if is_same then position = position + 1 end
    until not is_same or entry[1] == ids[#ids]
    return position
  end }
end
local function task_lines(queue, group)
  if group == 'final' then return { final_line(prefix .. 'final:' .. queue) } end
  if group ~= 'pending' then
    return { timed_line(prefix .. (group == 'delayed' and 'delayed:' or 'leases:') .. queue) }
  end
  local lines = {}
  for i, line in ipairs(ready_lines(queue)) do lines[i] = ready_line(line) end
  return lines
end
