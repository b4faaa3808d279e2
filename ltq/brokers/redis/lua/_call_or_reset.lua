-- call_or_reset(command, key, ...): a call on a structure of LTQ's own. What has another type there is
-- nobody's, and makes way: one key gone bad shall not stop a whole namespace.
local function call_or_reset(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  redis.call('DEL', key)
  return redis.call(command, key, ...)
end
