-- now: the server's time, in seconds.
-- stamp: the same time as text.
-- at(seconds): a time as text.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000 -- in arithmetic, Lua reads texts as numbers
local function at(seconds) return string.format('%.6f', seconds) end
local stamp = at(now)
