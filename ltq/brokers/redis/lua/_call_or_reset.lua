-- call_or_reset(command, key, ...): call a command on one of LTQ's keys. A key of the wrong type is deleted
-- first, so that one spoilt key does not stop a whole namespace.
local function call_or_reset(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  redis.call('DEL', key)
  return redis.call(command, key, ...)
end
