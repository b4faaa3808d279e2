-- puts_back(status): whether an outcome with this status lets the task run again.
-- fence(id, hash, token, status): the answer to an outcome that must not be recorded; nil if it must be.
-- `hash` holds the task's status, its token, and the token of the last lease that put it back.
local function puts_back(status) return status == 'pending' or status == 'delayed' end
local function fence(id, hash, token, status)
  if hash[1] == 'working' and hash[2] == token then return end
  if hash.err or not hash[1] then
    local ended = redis.pcall('ZSCORE', prefix .. 'ended', id)
    return type(ended) == 'string' and tonumber(ended) == tonumber(token) and 'ok' or 'gone'
  end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if hash[2] ~= token then return hash[3] == token and puts_back(status) and 'ok' or 'stale' end
  return 'ok'
end
