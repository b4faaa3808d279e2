--[[
clear: remove waiting tasks of a queue for good, a limited number at a time.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue   whose ready and delayed tasks are removed
ARGV[2] limit   int, most tasks to remove

RETURNS how many were removed
]]
local prefix, queue, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local removed = 0
-- @include call_or_reset, reindex
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
local function remove(ids, status)
  for _, id in ipairs(ids or {}) do
    local key = prefix .. 'task:' .. id
    local found = redis.pcall('HGET', key, 'status')
    if found == status or type(found) ~= 'string' then redis.call('DEL', key) end
    removed = removed + 1
  end
end

for _, lane in ipairs(call_or_reset('SMEMBERS', prefix .. 'lanes')) do
  if string.match(lane, '^[^/]*') == queue then
    for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
      local ready = prefix .. 'ready:' .. priority .. ':' .. lane
      if removed < limit then remove(call_or_reset('LPOP', ready, limit - removed), 'pending') end
    end
  end
end
if removed < limit then
  local ids = call_or_reset('ZRANGE', prefix .. 'delayed:' .. queue, 0, limit - removed - 1)
  if #ids > 0 then call_or_reset('ZREM', prefix .. 'delayed:' .. queue, unpack(ids)) end
  remove(ids, 'delayed')
  reindex('due', 'delayed:', queue)
end
return removed
