-- read_paused(): the paused queues, as a table with their names as keys; nil if there is none.
-- is_paused(paused, lane): whether the queue of a lane is among them.
-- @include call_or_reset
-- @rare
local function read_paused()
  local paused
  for _, queue in ipairs(call_or_reset('SMEMBERS', prefix .. 'paused')) do
    paused = paused or {}
    paused[queue] = true
  end
  return paused
end
-- @rare
local function is_paused(paused, lane) return paused and paused[string.match(lane, '^[^/]*')] end
