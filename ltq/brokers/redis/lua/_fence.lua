-- puts_back(status): whether an outcome with this status lets the task run again.
-- is_same(status, other): whether outcomes with these statuses count as the same.
-- fence(id, hash, token, status): the answer to an outcome that must not be recorded; nil if it must be.
-- `hash` holds the task's status, its token, and what `returned` says of the last lease that put it back.
-- @include ended
local function puts_back(status) return status == 'pending' or status == 'delayed' end
local function is_same(status, other) return status == other or puts_back(status) and puts_back(other) end
local function fence(id, hash, token, status)
  if hash[1] == 'working' and hash[2] == token then return end
  if hash.err or not hash[1] then
    local ended = ended_as(id, token)
    return ended == status and 'ok' or ended and 'stale' or 'gone'
  end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if puts_back(status) then
    return (hash[3] == token or hash[3] == token .. ' front') and 'ok' or 'stale'
  end
  return hash[1] == status and hash[2] == token and 'ok' or 'stale'
end
