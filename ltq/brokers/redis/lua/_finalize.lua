-- state_ttl(seconds, default): how long a final state is kept, in milliseconds as text: `seconds`, or
-- `default` if that is not a number. Returns nil if it is not kept.
-- finalize(id, ttl, token, status, ...): make a task final. Its state, with more fields and values, is kept
-- for `ttl`, and so are the items of its stream. Its arguments are, if its field `keep_body` says so, or
-- nothing and it is failed or rejected.
-- Without a ttl the state is removed at once. Then `ended` remembers for a while which token ended the task,
-- and how, for repeated calls (0: cancelled, -1: its workers died).
-- @include time, call_or_reset, ending
-- @constant ENDED_TTL, MAX_ENDED, MAX_SECONDS
local function state_ttl(seconds, default)
  seconds = tonumber(seconds)
  if not seconds or seconds ~= seconds then seconds = tonumber(default) end
  if seconds <= 0 then return nil end
  local ttl = math.ceil(math.min(seconds, MAX_SECONDS) * 1000)
  return string.format(ttl < 2 ^ 31 and '%d' or '%.0f', ttl) -- '%d' costs half as much
end
-- @rare
local function keep_arguments(key)
  local serializer = redis.call('HGET', key, 'serializer') -- now it will be that of the result
  redis.call('HDEL', key, 'fingerprint', 'serializer', 'progress', 'deaths', 'error', 'error_type',
    'traceback')
  if serializer then redis.call('HSET', key, 'body_serializer', serializer) end
end
-- @rare
local function drop_arguments(id, key, status, ttl, ...)
  local hash = redis.call('HMGET', key, 'keep_body', 'ctx', 'items')
  local keep_body, is_stopped = hash[1], false
  if in_flow(hash[2]) then
    note_ending(id, status, ttl, hash[2], ...)
    is_stopped = status == 'cancelled' -- it may go on
  end
  if hash[3] then redis.call('PEXPIRE', prefix .. 'items:' .. id, ttl) end
  if keep_body == '1' or is_stopped or not keep_body and (status == 'failed' or status == 'rejected') then
    return keep_arguments(key)
  end
  local or_ctx = has_outline(hash[2]) and 'body' or 'ctx'
  redis.call('HDEL', key, 'body', or_ctx, 'fingerprint', 'serializer', 'lane', 'progress', 'max_tries',
    'result_ttl', 'max_deliveries', 'max_items', 'deaths', 'error', 'error_type', 'traceback', 'keep_body')
end
-- @rare
local function leave_no_state(id, token, status, ...)
  local ctx = redis.pcall('HGET', prefix .. 'task:' .. id, 'ctx')
  if type(ctx) == 'string' and in_flow(ctx) then note_ending(id, status, nil, ctx, ...) end
  redis.call('DEL', prefix .. 'task:' .. id, prefix .. 'items:' .. id)
  call_or_reset('ZADD', prefix .. 'ended', token, id .. ' ' .. status)
  redis.call('ZREMRANGEBYRANK', prefix .. 'ended', 0, -MAX_ENDED - 1)
  redis.call('EXPIRE', prefix .. 'ended', ENDED_TTL)
end
local function finalize(id, ttl, token, status, ...)
  if not ttl then return leave_no_state(id, token, status, ...) end
  local key = prefix .. 'task:' .. id
  drop_arguments(id, key, status, ttl, ...)
  redis.call('HSET', key, 'status', status, 'release_time', stamp, ...)
  redis.call('PEXPIRE', key, ttl)
end
