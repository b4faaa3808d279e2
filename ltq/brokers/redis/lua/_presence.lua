-- say_served(lanes, seconds): remember that a live consumer serves these lanes from now on, for so long.
-- Where that cannot be stored, nothing happens.
-- @include time
-- @rare
local function say_served(lanes, seconds)
  local words = {}
  for _, lane in ipairs(lanes) do words[#words + 1], words[#words + 2] = at(now + seconds), lane end
  for i = 1, #words, 2000 do
    redis.pcall('ZADD', prefix .. 'served', 'GT', unpack(words, i, math.min(i + 1999, #words)))
  end
end
