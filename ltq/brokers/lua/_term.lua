-- term(seconds): when a lease of this length ends, as text. One of 5 seconds and more ends with a
-- whole second, so up to a second early: a small zset compares whole numbers ten times as fast.
local function term(seconds)
  if seconds < 5 then return at(now + seconds) end
  return string.format('%.0f', math.floor(now + seconds))
end
