-- state_ttl(seconds, default): how long a final state is kept, in milliseconds as text: `seconds`, or
-- `default` if that is not a number. Returns nil if it is not kept.
-- finalize(id, ttl, token, status, ...): make a task final. Its body is removed; its state, with more fields
-- and values, is kept for `ttl`. Without a ttl the state is removed at once. In that case `ended` remembers
-- for a while which token ended the task, for repeated calls (0: cancelled, -1: its workers died).
-- @include time, call_or_reset
-- @constant ENDED_TTL, MAX_ENDED, MAX_SECONDS
local function state_ttl(seconds, default)
  seconds = tonumber(seconds)
  if not seconds or seconds ~= seconds then seconds = tonumber(default) end
  return seconds > 0 and string.format('%.0f', math.ceil(math.min(seconds, MAX_SECONDS) * 1000)) or nil
end
local function finalize(id, ttl, token, status, ...)
  local key = prefix .. 'task:' .. id
  if not ttl then
    redis.call('DEL', key)
    call_or_reset('ZADD', prefix .. 'ended', token, id)
    redis.call('ZREMRANGEBYRANK', prefix .. 'ended', 0, -MAX_ENDED - 1)
    redis.call('EXPIRE', prefix .. 'ended', ENDED_TTL)
    return
  end
  redis.call('HDEL', key, 'body', 'ctx', 'lane', 'priority', 'progress', 'max_tries', 'result_ttl',
    'max_deliveries', 'deaths', 'error', 'error_type', 'traceback')
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  redis.call('PEXPIRE', key, ttl)
end
