-- wake(lane): leave a wake-up for one consumer of a lane.
-- @include call_or_reset
local function wake(lane) call_or_reset('ZADD', prefix .. 'wake:' .. lane, '0', '1') end
