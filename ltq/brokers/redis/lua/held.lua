--[[
held: read a task that waits for others, or was cancelled with its body kept.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] id        the task
ARGV[2...] slots  which of its slots to read

RETURNS {} for any other task; else {status, body, ctx, token, serializer, of, values, failed, slots...}: of
        the body; how many slots there are, have values, have failed; what is in the slots
]]
local prefix, id = KEYS[1], ARGV[1]
-- @include held
local key, slots = prefix .. 'task:' .. id, prefix .. 'slots:' .. id
local hash = redis.pcall('HMGET', key, 'status', 'body', 'ctx', 'token', 'serializer', 'body_serializer',
  'queue', 'task')
if hash.err or not hash[2] then return {} end
if hash[1] ~= 'cancelled' and not waits_for_others(id, hash[7] or hash[8], hash[1]) then return {} end
local reply = { hash[1], hash[2], hash[3], hash[4], hash[6] or hash[5],
  unpack(redis.call('HMGET', slots, 'of', 'values', 'failed')) }
for first = 2, #ARGV, 1000 do
  local found = redis.call('HMGET', slots, unpack(ARGV, first, math.min(first + 999, #ARGV)))
  for i, value in ipairs(found) do reply[first + 6 + i] = value end
end
return reply
