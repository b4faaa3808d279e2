-- time: the server's time, as texts: seconds, and microseconds of the last one.
-- now: the same, in seconds.
-- stamp: the same time as text.
-- at(seconds): a time as text.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000 -- in arithmetic, Lua reads texts as numbers
local function at(seconds) return string.format('%.6f', seconds) end
-- As `at` would tell it, which costs much more.
local stamp = time[1] .. '.' .. string.sub('00000' .. time[2], -6)
