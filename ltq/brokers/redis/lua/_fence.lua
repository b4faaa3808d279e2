-- check(id, hash, token, status): what an outcome is answered with; nil if it is to be recorded.
local is_return = { pending = true, delayed = true }
local function check(id, hash, token, status)
  if hash[1] == 'working' and hash[2] == token then return end
  if hash.err or not hash[1] then
    local ended = redis.pcall('ZSCORE', prefix .. 'ended', id)
    return type(ended) == 'string' and tonumber(ended) == tonumber(token) and 'ok' or 'gone'
  end
  if hash[1] == 'cancelled' then return 'cancelled' end
  if hash[2] ~= token then return hash[3] == token and is_return[status] and 'ok' or 'stale' end
  return 'ok'
end
