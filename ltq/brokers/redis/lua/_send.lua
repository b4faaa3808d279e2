-- send(id, body, queue, lane, priority, delay, eta, conditions, field, value, ...): enqueue a task,
-- as `send.lua` says, and return its answer for it. `lanes` and `is_new` tell of lanes that are new;
-- `again` is '1' where the call may have been carried out before.
local function is_full(queue, lane, limit)
  local waiting = call_or_reset('ZCARD', prefix .. 'delayed:' .. queue)
  for priority = 0, 2 do
    local member = priority .. ':' .. lane
    waiting = waiting + call_or_reset('LLEN', prefix .. 'ready:' .. member) + #(pushed[member] or {})
  end
  return waiting >= tonumber(limit)
end

-- What stands against a new task, if anything does; nothing does: its fingerprint is taken down.
local function refusal(id, queue, lane, conditions)
  local limit, fingerprint, time = string.match(conditions, '^(%S+) (%S+) (%S+)')
  local unique = prefix .. 'unique:' .. fingerprint
  if fingerprint ~= '-' and redis.call('EXISTS', unique) == 1 then return 'duplicate' end
  if limit ~= '-' and is_full(queue, lane, limit) then return 'full' end
  if fingerprint ~= '-' then redis.call('SET', unique, id, 'PX', time) end
end

local lanes, is_new = {}, 0
local function is_ended(id, conditions) -- it ran between two attempts of this call, and left no state
  if again ~= '1' or string.sub(conditions, -5) == ' used' then return false end
  return type(redis.pcall('ZSCORE', prefix .. 'ended', id)) == 'string'
end
local function send(id, body, queue, lane, priority, delay, eta, conditions, ...)
  local key = prefix .. 'task:' .. id
  if redis.call('EXISTS', key) == 1 then
    local name = redis.pcall('HGET', key, 'task')
    return type(name) == 'string' and name ~= select(2, ...) and 'id_conflict' or 'exists'
  end
  if is_ended(id, conditions) then return 'exists' end
  local refused = conditions ~= '' and refusal(id, queue, lane, conditions)
  if refused then return refused end
  if not lanes[lane] then
    lanes[lane] = true
    is_new = is_new + call_or_reset('SADD', prefix .. 'lanes', lane)
  end
  local due = eta ~= '' and tonumber(eta) or now + tonumber(delay)
  if due > now then
    redis.call('HSET', key, 'status', 'delayed', 'enqueue_time', stamp, 'body', body, ...)
    delay_until(queue, lane, id, due)
  else
    redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, 'body', body, ...)
    push(lane, priority, id)
  end
  return 'created'
end
