--[[
workers: read what workers say of themselves, and when each was last seen.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of what they say; the reply ends with the worker that reaches it
ARGV[2...] names    of the workers

RETURNS {time, workers}: for each name, or for the first ones, {entry, left}: what it says of itself, nil
        if it is gone; milliseconds until it is gone
]]
local prefix, most_bytes, workers, size = KEYS[1], tonumber(ARGV[1]), {}, 0
-- @include time
for i = 2, #ARGV do
  if size >= most_bytes and i > 2 then break end
  local entry = redis.pcall('GET', prefix .. 'worker:' .. ARGV[i])
  local text = type(entry) == 'string' and entry
  workers[i - 1] = { text, text and redis.call('PTTL', prefix .. 'worker:' .. ARGV[i]) or 0 }
  size = size + #(text or '')
end
return { stamp, workers }
