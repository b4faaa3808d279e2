-- now: the server's time in seconds.
-- stamp: the same as text.
-- at(seconds): any time as text.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function at(seconds) return string.format('%.6f', seconds) end
local stamp = at(now)
