-- lease_end(seconds): the end of a lease of this length, in whole milliseconds, as text. In a
-- small sorted set Redis parses whole numbers many times faster than fractions.
-- @include time
local function lease_end(seconds) return string.format('%.0f', (now + seconds) * 1000) end
