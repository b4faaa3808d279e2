-- add_ready(lane, priority, id, front): let a task wait in its lane, with `front` before the others.
-- count_added(member): how many tasks of the ready list `member` were added but not written yet.
-- flush_ready(): write all added tasks. Call it once, at the end.
-- @include call_or_reset, enqueue_ready, priorities
local added, members = {}, {}
local function add_ready(lane, priority, id, front)
  local member = priority_of(priority) .. ':' .. lane
  local ids = added[member]
  if not ids then
    ids = {}
    added[member] = ids
    members[#members + 1] = member
  end
  if front then call_or_reset('LPUSH', prefix .. 'ready:' .. member, id) else ids[#ids + 1] = id end
end
local function count_added(member) return #(added[member] or {}) end
local function flush_ready()
  for _, member in ipairs(members) do
    enqueue_ready(string.sub(member, 3), string.sub(member, 1, 1), unpack(added[member]))
  end
end
