-- lease_end(seconds): the end of a lease of this length, as text: whole milliseconds, as a small zset
-- finds the place of a whole number many times faster than that of another one.
local function lease_end(seconds) return string.format('%.0f', (now + seconds) * 1000) end
