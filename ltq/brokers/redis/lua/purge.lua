--[[
purge: remove dead letters of a queue for good, a limited number at a time.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue       whose letters
ARGV[2] older_than  seconds, only letters of at least that age
ARGV[3] limit       int, most letters to remove if no ids are given
ARGV[4...] ids      or none for all

RETURNS {removed, more}: how many were removed; 1 if there may be more, else 0
]]
local prefix, queue, older_than, limit = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- @include time, call_or_reset

local dead = prefix .. 'dead:' .. queue
local latest = older_than > 0 and now - older_than or math.huge -- see `_bury.lua`: some are a little ahead

local function is_wanted(id)
  local letter = redis.pcall('HMGET', prefix .. 'dead_letter:' .. id, 'queue', 'task', 'release_time')
  if letter.err or (letter[1] or letter[2]) ~= queue then return false end
  return (tonumber(letter[3]) or 0) <= latest
end

local ids, more = {}, 0
for i = 4, #ARGV do
  if is_wanted(ARGV[i]) then ids[#ids + 1] = ARGV[i] end
end
if #ARGV < 4 then
  ids = call_or_reset('ZRANGE', dead, '-inf', at(latest), 'BYSCORE', 'LIMIT', 0, limit)
  if #ids == limit then more = 1 end
end
local removed = 0
for _, id in ipairs(ids) do
  call_or_reset('ZREM', dead, id)
  removed = removed + redis.call('DEL', prefix .. 'dead_letter:' .. id)
end
return { removed, more }
