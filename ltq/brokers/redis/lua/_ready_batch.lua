-- push(lane, priority, id, front): let a task wait in its lane; flush_pushed() writes them all at
-- once. After `lineup`.
local pushed, pushed_order = {}, {}
local function push(lane, priority, id, front)
  if priority ~= '0' and priority ~= '2' then priority = '1' end
  local member = priority .. ':' .. lane
  local ids = pushed[member]
  if not ids then
    ids = {}
    pushed[member] = ids
    pushed_order[#pushed_order + 1] = member
  end
  if front then call_or_reset('LPUSH', prefix .. 'ready:' .. member, id) else ids[#ids + 1] = id end
end
local function flush_pushed()
  for _, member in ipairs(pushed_order) do enqueue_ready(member, unpack(pushed[member])) end
end
