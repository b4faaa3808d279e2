--[[
history: read what was counted in the last minutes of a queue.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] queue
ARGV[2] last    the number of the last minute (Unix seconds / 60), or '' for the present one
ARGV[3] count   int, how many minutes

RETURNS {last, figures}: the number of the last minute; for each minute, from the first to the last, names and
        numbers
]]
local prefix, queue, last, count = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- @include time
last = last or math.floor(now / 60)
local found = {}
for i = 1, count do
  local minute = string.format('%.0f', last - count + i)
  local figures = redis.pcall('HGETALL', prefix .. 'history:' .. minute .. ':' .. queue)
  found[i] = figures.err and {} or figures
end
return { last, found }
