--[[
rights: say which commands the user may not use, tried out on a key that is gone afterwards.

KEYS[1] prefix        of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] trials     of each command: its name, how many words follow the key, and these

RETURNS the names of those that are refused
]]
local prefix, refused, i = KEYS[1], {}, 1
local key = prefix .. 'none'
if type(redis.pcall('DEL', key)) == 'table' then return { 'DEL' } end
while i <= #ARGV do
  local reply = redis.pcall(ARGV[i], key, unpack(ARGV, i + 2, i + 1 + ARGV[i + 1]))
  local text = type(reply) == 'table' and reply.err or ''
  if string.find(text, "can't", 1, true) or string.find(text, 'Unknown', 1, true) then
    refused[#refused + 1] = ARGV[i]
  end
  redis.call('DEL', key)
  i = i + 2 + ARGV[i + 1]
end
return refused
