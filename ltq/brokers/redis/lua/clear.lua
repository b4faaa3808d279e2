--[[
clear: remove waiting tasks of a queue for good, a limited number at a time.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue   whose ready and delayed tasks are removed
ARGV[2] limit   int, most tasks to remove

RETURNS {removed, more}: how many were removed; 1 if there may be more, else 0
]]
local prefix, queue, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local removed, looked = 0, 0
-- @include call_or_reset, drop_lane, drop_void, ending, free_first, queue_lanes, reindex, skipped
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
local function remove(ids, status)
  for _, id in ipairs(ids) do
    local key = prefix .. 'task:' .. id
    local hash = redis.pcall('HMGET', key, 'status', 'ctx')
    if not hash.err and hash[1] == status and in_flow(hash[2]) then
      note_ending(id, 'cancelled', nil, hash[2])
    end
    if hash.err or hash[1] == status or not hash[1] then
      redis.call('DEL', key, prefix .. 'items:' .. id)
    end
    removed = removed + 1
  end
end

free_first()
for _, lane in ipairs(lanes_of(queue)) do
  for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
    local member, ids = priority .. ':' .. lane, nil
    while removed < limit and looked < 2 * limit do
      ids = call_or_reset('LPOP', prefix .. 'ready:' .. member, limit - removed) or {}
      if #ids == 0 then break end
      looked = looked + #ids
      remove(keep_wanted(member, ids), 'pending')
    end
    if ids then drop_void(member) end
  end
  drop_lane(lane)
end
if removed < limit then
  local ids = call_or_reset('ZRANGE', prefix .. 'delayed:' .. queue, 0, limit - removed - 1)
  if #ids > 0 then call_or_reset('ZREM', prefix .. 'delayed:' .. queue, unpack(ids)) end
  remove(ids, 'delayed')
  reindex('due', 'delayed:', queue)
end
return { removed, (removed >= limit or looked >= 2 * limit) and 1 or 0 }
