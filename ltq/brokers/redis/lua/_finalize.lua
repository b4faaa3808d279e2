-- state_ttl(seconds, default): how long a final state is kept, in milliseconds as text: `seconds`, or
-- `default` if that is not a number. Returns nil if it is not kept.
-- finalize(id, ttl, token, status, keep_body, ...): make a task final. Its state, with more fields and
-- values, is kept for `ttl`; its arguments with it, if its field `keep_body` says so, or nothing and it is
-- failed or rejected. Without a ttl the state is removed at once. Then `ended` remembers for a while which
-- token ended the task, and how, for repeated calls (0: cancelled, -1: its workers died).
-- @include time, call_or_reset
-- @constant ENDED_TTL, MAX_ENDED, MAX_SECONDS
local function state_ttl(seconds, default)
  seconds = tonumber(seconds)
  if not seconds or seconds ~= seconds then seconds = tonumber(default) end
  return seconds > 0 and string.format('%.0f', math.ceil(math.min(seconds, MAX_SECONDS) * 1000)) or nil
end
-- After its claim a task has status, task, enqueue_time, dequeue_count, last_dequeue_time, worker, token.
local OF_ALL = 7
local function drop_arguments(key, was_claimed)
  redis.call('HDEL', key, 'body')
  if was_claimed and redis.call('HLEN', key) == OF_ALL then return end -- so it has none of the others
  redis.call('HDEL', key, 'ctx', 'fingerprint', 'serializer', 'lane', 'progress', 'max_tries',
    'result_ttl', 'max_deliveries', 'deaths', 'error', 'error_type', 'traceback', 'keep_body')
end
-- @rare
local function keep_arguments(key)
  local serializer = redis.call('HGET', key, 'serializer') -- now it will be that of the result
  redis.call('HDEL', key, 'fingerprint', 'serializer', 'progress', 'deaths', 'error', 'error_type',
    'traceback')
  if serializer then redis.call('HSET', key, 'body_serializer', serializer) end
end
local function finalize(id, ttl, token, status, keep_body, ...)
  local key = prefix .. 'task:' .. id
  if not ttl then
    redis.call('DEL', key)
    call_or_reset('ZADD', prefix .. 'ended', token, id .. ' ' .. status)
    redis.call('ZREMRANGEBYRANK', prefix .. 'ended', 0, -MAX_ENDED - 1)
    redis.call('EXPIRE', prefix .. 'ended', ENDED_TTL)
    return
  end
  if keep_body == '1' or not keep_body and (status == 'failed' or status == 'rejected') then
    keep_arguments(key)
  else
    drop_arguments(key, token ~= 0)
  end
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  redis.call('PEXPIRE', key, ttl)
end
