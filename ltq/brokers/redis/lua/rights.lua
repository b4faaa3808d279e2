--[[
rights: say which commands the user may not use, tried out on a key that is gone afterwards.

KEYS[1] prefix        of a namespace that nobody has; it is the key
ARGV[1...] trials     of each command: its name, how many words follow the key, and these

RETURNS the names of those that are refused
]]
local prefix, refused, i = KEYS[1], {}, 1
local texts = { "can't run", "can't access", 'ACL failure', 'Unknown' } -- the third is since Redis 7.2
local function is_refused(reply)
  local said = type(reply) == 'table' and reply.err or ''
  for _, text in ipairs(texts) do
    if string.find(said, text, 1, true) then return true end
  end
  return false
end
local reply = redis.pcall('DEL', prefix)
if is_refused(reply) then return { 'DEL' } end
if type(reply) == 'table' then return {} end -- the server takes no writes now
while i <= #ARGV do
  if is_refused(redis.pcall(ARGV[i], prefix, unpack(ARGV, i + 2, i + 1 + ARGV[i + 1]))) then
    refused[#refused + 1] = ARGV[i]
  end
  redis.call('DEL', prefix)
  i = i + 2 + ARGV[i + 1]
end
return refused
