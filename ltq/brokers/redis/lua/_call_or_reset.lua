-- call_or_reset(command, key, ...): call a command on one of LTQ's own keys. If the key holds another
-- type, it is deleted first: a single spoilt key must not stop a whole namespace.
local function call_or_reset(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  redis.call('DEL', key)
  return redis.call(command, key, ...)
end
