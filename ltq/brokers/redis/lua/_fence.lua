-- puts_back(status): whether an outcome with this status lets the task run again.
-- is_same(status, other): whether outcomes with these statuses count as the same.
-- fence(id, hash, token, status): the answer to an outcome of a lease that does not hold the task now. `hash`
-- has the task's status and token.
-- @include ended
-- @rare
local function puts_back(status) return status == 'pending' or status == 'delayed' end
-- @rare
local function is_same(status, other) return status == other or puts_back(status) and puts_back(other) end
-- @rare
local function fence(id, hash, token, status)
  if hash.err or not hash[1] then
    local ended = ended_as(id, token)
    return ended == status and 'ok' or ended and 'stale' or 'gone'
  end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if puts_back(status) then
    local returned = redis.call('HGET', prefix .. 'task:' .. id, 'returned') -- the last lease that did so
    return (returned == token or returned == token .. ' front') and 'ok' or 'stale'
  end
  return hash[1] == status and hash[2] == token and 'ok' or 'stale'
end
