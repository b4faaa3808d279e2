-- add_ready(lane, priority, id, token): let a task wait in its lane. With `token`, that of the lease that put
-- it back, it goes to the front: behind those only that are there already and were claimed before it.
-- count_added(member): how many tasks of the ready list `member` were added but not written yet.
-- flush_ready(): write all added tasks. Call it once, at the end.
-- earlier_claim(a, b): whether a task was claimed before another one; each as {id, token}.
-- @include call_or_reset, enqueue_ready, priorities, skipped
local added, fronts, members = {}, {}, {}
local function add_ready(lane, priority, id, token)
  local member = priority_of(priority) .. ':' .. lane
  if not added[member] then
    added[member], fronts[member] = {}, {}
    members[#members + 1] = member
  end
  if token then
    table.insert(fronts[member], { id, token })
  else
    table.insert(added[member], id)
  end
end
-- The token by which a task was requeued to the front, where it still waits; nil if it was not.
local function front_token(id)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'token', 'returned')
  local token = not hash.err and hash[1] and hash[2] == hash[1] .. ' front' and tonumber(hash[1])
  return token == token and token -- "nan" is a number, too
end
local function earlier_claim(a, b) return a[2] < b[2] or (a[2] == b[2] and a[1] < b[1]) end
local function push_front(member, front)
  local ready = prefix .. 'ready:' .. member
  table.sort(front, earlier_claim)
  while true do -- those that are to stay before some of these are added to them
    skip_front(member, 200)
    local id = call_or_reset('LPOP', ready)
    local head = { id, id and front_token(id) }
    if not head[2] or earlier_claim(front[#front], head) then
      if id then redis.call('LPUSH', ready, id) end
      break
    end
    local k = #front
    while k > 0 and earlier_claim(head, front[k]) do k = k - 1 end
    table.insert(front, k + 1, head)
  end
  for i = #front, 1, -1 do redis.call('LPUSH', ready, front[i][1]) end
end
local function count_added(member) return #(added[member] or {}) end
local function flush_ready()
  for _, member in ipairs(members) do
    if #fronts[member] > 0 then push_front(member, fronts[member]) end
    enqueue_ready(string.sub(member, 3), string.sub(member, 1, 1), unpack(added[member]))
  end
end
