--[[
send: enqueue tasks, each once by its id.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again   '1' if this call may have been carried out before, else ''
ARGV    a group for each task:
        id, queue, lane, priority, delay, eta, max_pending, count, then `count` fields and values
        of its hash, `task` first. delay: seconds from now; eta: Unix seconds, or '';
        max_pending: int, or ''.

RETURNS for each task 'created', 'exists', 'taken' (another task has the id) or 'full'; then 'new'
        if nothing was sent to one of the lanes before
]]
local prefix = KEYS[1]
-- @include time
-- @include sure
-- @include ready
-- @include later

local function is_full(queue, lane, limit)
  if limit == '' then return false end
  local waiting = sure('ZCARD', prefix .. 'delayed:' .. queue)
  for priority = 0, 2 do
    local member = priority .. ':' .. lane
    waiting = waiting + sure('LLEN', prefix .. 'ready:' .. member) + #(pushed[member] or {})
  end
  return waiting >= tonumber(limit)
end

local lanes, is_new = {}, 0
local function is_ended(id) -- it ran between two attempts of this call, and left no state
  return ARGV[1] == '1' and type(redis.pcall('ZSCORE', prefix .. 'ended', id)) == 'string'
end
local function send(id, queue, lane, priority, delay, eta, max_pending, ...)
  local key = prefix .. 'task:' .. id
  if redis.call('EXISTS', key) == 1 then
    local name = redis.pcall('HGET', key, 'task')
    return type(name) == 'string' and name ~= select(2, ...) and 'taken' or 'exists'
  end
  if is_ended(id) then return 'exists' end
  if is_full(queue, lane, max_pending) then return 'full' end
  if not lanes[lane] then
    lanes[lane] = true
    is_new = is_new + sure('SADD', prefix .. 'lanes', lane)
  end
  local due = eta ~= '' and tonumber(eta) or now + tonumber(delay)
  if due > now then
    redis.call('HSET', key, 'status', 'delayed', 'enqueue_time', stamp, ...)
    postpone(queue, lane, id, due)
  else
    redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, ...)
    push(lane, priority, id)
  end
  return 'created'
end

local answers, i = {}, 2
while i <= #ARGV do
  local last = i + 7 + tonumber(ARGV[i + 7])
  local id, queue, lane, priority, delay, eta, max_pending = unpack(ARGV, i, i + 6)
  table.insert(answers, send(id, queue, lane, priority, delay, eta, max_pending, unpack(ARGV, i + 8, last)))
  i = last + 1
end
flush_pushed()
if is_new > 0 then table.insert(answers, 'new') end
return answers
