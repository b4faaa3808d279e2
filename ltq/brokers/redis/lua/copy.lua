--[[
copy: copy a ready list, and which of its entries are skipped, so that it can be read at one moment. A
repeated call copies it again.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] member  "<priority>:<lane>" of the list
ARGV[2] unique  the name of the copy
ARGV[3] ttl     seconds after which the copy is deleted at the latest

RETURNS {entries, skips}: how many ids are in it; 1 if some of them are to be skipped, else 0
]]
local prefix, member, unique, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local ready, copied = prefix .. 'ready:' .. member, prefix .. 'copied:' .. unique
local skipped, copied_skips = prefix .. 'skipped:' .. member, prefix .. 'copied_skips:' .. unique
local function copy(original, to, type)
  redis.call('DEL', to)
  if redis.call('TYPE', original).ok ~= type then return false end
  redis.call('COPY', original, to)
  redis.call('EXPIRE', to, ttl)
  return true
end
if not copy(ready, copied, 'list') then return { 0, 0 } end
return { redis.call('LLEN', ready), copy(skipped, copied_skips, 'hash') and 1 or 0 }
