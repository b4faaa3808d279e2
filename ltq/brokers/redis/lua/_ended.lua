-- ended_as(id, token): the status of a task that ended lately without leaving a state; nil if there was none.
-- With `token` it has to have ended by this one (0: cancelled, -1: its workers died).
-- @rare
local function ended_as(id, token)
  for _, status in ipairs({ 'completed', 'failed', 'rejected', 'cancelled' }) do
    local by = redis.pcall('ZSCORE', prefix .. 'ended', id .. ' ' .. status)
    if type(by) == 'string' and (not token or tonumber(by) == tonumber(token)) then return status end
  end
end
