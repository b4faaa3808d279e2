-- push(lane, priority, id, front): let a task wait in its lane; flush_pushed() writes them all at
-- once. After `lineup`.
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
local function flush_pushed()
  for _, member in ipairs(pushed_order) do line_up(member, unpack(pushed[member])) end
end
