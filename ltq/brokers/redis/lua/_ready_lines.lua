-- ready_lines(queue): the ready lists of a queue that are not empty, in the order in which they are listed:
-- for each {member, key, length}, where member is "<priority>:<lane>".
-- is_line_after(member, other, queue): whether one of these lines comes after another one, which may be gone.
-- comes_after(one, other): whether a text comes after another one, byte by byte, as Redis sorts them.
-- ready_since(id): since when a ready task waits, 0 if it is back at the front; nil if it is not ready.
-- ready_position(line, index, moment, ids): the position behind the last of these ids in a ready line. If all
-- are gone, it is behind what has waited since before `moment`, and not before `index` if that is possible.
-- @include call_or_reset, queue_lanes, waits_since
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
local MOST_SEARCHED = 1000 -- most entries of a list that are searched for an id
local function ready_lines(queue)
  local lanes, lines = lanes_of(queue), {}
  table.insert(lanes, 1, table.remove(lanes)) -- the own one
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    for _, lane in ipairs(lanes) do
      local key = prefix .. 'ready:' .. priority .. ':' .. lane
      local length = call_or_reset('LLEN', key)
      if length > 0 then lines[#lines + 1] = { priority .. ':' .. lane, key, length } end
    end
  end
  return lines
end
local function comes_after(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a > b end
  end
  return #one > #other
end
local function is_line_after(member, other, queue)
  local function rank(name)
    return string.sub(name, 3) == queue and string.sub(name, 1, 2) or name
  end
  return comes_after(rank(member), rank(other))
end
local function ready_since(id)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'enqueue_time', 'last_requeue_time',
    'token', 'returned')
  if hash.err or hash[1] ~= 'pending' then return end
  return hash[4] and hash[5] == hash[4] .. ' front' and 0 or waits_since(hash[2], hash[3])
end
-- How many tasks of a ready list come before the first that waits since `moment` or later; with `beyond`,
-- since later. Entries that are not ready count to what follows them, if that is not too far away.
local function count_before(line, moment, beyond)
  local low, high = 0, line[3]
  while low < high do
    local middle = math.floor((low + high) / 2)
    local i, since = middle, nil
    while i < math.min(high, middle + MOST_SEARCHED) and not since do
      since, i = ready_since(redis.call('LINDEX', line[2], i)), i + 1
    end
    if since and (since < moment or beyond and since == moment) then low = i else high = middle end
  end
  return low
end
-- The position behind the last of the ids that is among the entries from `first` to `last`, and has not come
-- back after `moment`; nil if there is none.
local function behind(line, first, last, moment, ids)
  local entries = last < first and {} or redis.call('LRANGE', line[2], first, last)
  for i = #entries, 1, -1 do
    for _, id in ipairs(ids) do
      if entries[i] == id and (ready_since(id) or 0) <= moment then return first + i end
    end
  end
end
local function ready_position(line, index, moment, ids)
  local found = behind(line, index, index, moment, ids)
    or behind(line, math.max(0, index - MOST_SEARCHED), index, moment, ids) -- what was before it was claimed
  if found then return found end
  local before, upto = count_before(line, moment), count_before(line, moment, true)
  local last = math.min(upto, before + MOST_SEARCHED) - 1
  found = behind(line, math.max(0, before - #ids), last, moment, ids)
  if found then return found end
  return before == 0 and 0 or math.max(before, math.min(index, upto))
end
