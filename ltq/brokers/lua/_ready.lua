-- push(lane, priority, id, front): let a task wait in its lane; flush_pushed() writes them all at
-- once, marks the lanes active, and leaves a wake-up for one consumer of each.
local pushed, pushed_order = {}, {}
local function push(lane, priority, id, front)
  if priority ~= '0' and priority ~= '2' then priority = '1' end
  local member = priority .. ':' .. lane
  if front then sure('LPUSH', prefix .. 'ready:' .. member, id) end
  if not pushed[member] then
    pushed[member] = {}
    table.insert(pushed_order, member)
  end
  if not front then table.insert(pushed[member], id) end
end
local function wake(lane) sure('ZADD', prefix .. 'wake:' .. lane, 0, '1') end
local function flush_pushed()
  for _, member in ipairs(pushed_order) do
    local ids = pushed[member]
    if #ids > 0 then sure('RPUSH', prefix .. 'ready:' .. member, unpack(ids)) end
    local rank = tonumber(string.sub(member, 1, 1)) * 1e10 + now
    sure('ZADD', prefix .. 'active', 'NX', at(rank), member)
    wake(string.sub(member, 3))
  end
end
