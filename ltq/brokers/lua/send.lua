--[[
send: enqueue tasks, each once by its id.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again   '1' if this call may have been carried out before, else ''
ARGV    a group for each task:
        id, queue, lane, priority, delay, eta, conditions, count, then `count` fields and values
        of its hash, `task` first. delay: seconds from now; eta: Unix seconds, or '';
        conditions: '', or a text "max_pending fingerprint milliseconds id" with '-' for what is
        not asked for: most waiting tasks; no other task of that fingerprint in that time; 'used'
        if the id may have been another task's before.

RETURNS for each task 'created', 'exists', 'taken' (another task has the id), 'same' (one of that
        fingerprint was sent) or 'full'; then 'new' if nothing was sent to one of the lanes before
]]
local prefix = KEYS[1]
-- @include time
-- @include sure
-- @include ready
-- @include later

local function is_full(queue, lane, limit)
  local waiting = sure('ZCARD', prefix .. 'delayed:' .. queue)
  for priority = 0, 2 do
    local member = priority .. ':' .. lane
    waiting = waiting + sure('LLEN', prefix .. 'ready:' .. member) + #(pushed[member] or {})
  end
  return waiting >= tonumber(limit)
end

-- What stands against a new task, if anything does; nothing does: its fingerprint is taken down.
local function refusal(id, queue, lane, conditions)
  local limit, fingerprint, time = string.match(conditions, '^(%S+) (%S+) (%S+)')
  local unique = prefix .. 'unique:' .. fingerprint
  if fingerprint ~= '-' and redis.call('EXISTS', unique) == 1 then return 'same' end
  if limit ~= '-' and is_full(queue, lane, limit) then return 'full' end
  if fingerprint ~= '-' then redis.call('SET', unique, id, 'PX', time) end
end

local lanes, is_new = {}, 0
local function is_ended(id, conditions) -- it ran between two attempts of this call, and left no state
  if ARGV[1] ~= '1' or string.sub(conditions, -5) == ' used' then return false end
  return type(redis.pcall('ZSCORE', prefix .. 'ended', id)) == 'string'
end
local function send(id, queue, lane, priority, delay, eta, conditions, ...)
  local key = prefix .. 'task:' .. id
  if redis.call('EXISTS', key) == 1 then
    local name = redis.pcall('HGET', key, 'task')
    return type(name) == 'string' and name ~= select(2, ...) and 'taken' or 'exists'
  end
  if is_ended(id, conditions) then return 'exists' end
  local refused = conditions ~= '' and refusal(id, queue, lane, conditions)
  if refused then return refused end
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
  local id, queue, lane, priority, delay, eta, conditions = unpack(ARGV, i, i + 6)
  table.insert(answers, send(id, queue, lane, priority, delay, eta, conditions, unpack(ARGV, i + 8, last)))
  i = last + 1
end
flush_pushed()
if is_new > 0 then table.insert(answers, 'new') end
return answers
