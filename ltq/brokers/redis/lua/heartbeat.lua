--[[
heartbeat: renew the leases that still hold.

KEYS[1] prefix       of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] duration     seconds from now
ARGV[2...] leases    for each lease: id, queue, token

RETURNS the positions, from 0, of the leases that are lost
]]
local prefix, duration = KEYS[1], tonumber(ARGV[1])
-- @include call_or_reset, free_first, lease_end

free_first()
local lost, deadline = {}, lease_end(duration)
for i = 2, #ARGV, 3 do
  local id, queue, token = unpack(ARGV, i, i + 2)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token')
  if not hash.err and hash[1] == 'working' and hash[2] == token then
    call_or_reset('ZADD', prefix .. 'leases:' .. queue, deadline, id)
    call_or_reset('ZADD', prefix .. 'lease_ends', 'LT', deadline, queue)
  else
    table.insert(lost, (i - 2) / 3)
  end
end
return lost
