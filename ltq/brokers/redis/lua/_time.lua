-- now: seconds by the server's clock. stamp: the same as text. at(x): seconds as text.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function at(seconds) return string.format('%.6f', seconds) end
local stamp = at(now)
