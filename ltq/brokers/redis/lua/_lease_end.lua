-- lease_end(seconds): the end of a lease of this length from now, as text. It is in whole milliseconds:
-- Redis parses whole numbers many times faster than fractions when it searches a small sorted set.
-- @include time
local function lease_end(seconds) return string.format('%.0f', (now + seconds) * 1000) end
