-- in_flow(ctx): whether a task with this `ctx` is part of a workflow.
-- has_outline(ctx): whether this `ctx` is kept as long as the state of its task.
-- note_ending(id, status, ttl, ctx, ...): keep the ending of such a task, before its hash is changed: `ttl`
-- is for how long its state is kept, as text, or nil. More fields and values are what is set then. An ending
-- is key, status, serializer, queue, time, bytes of `ctx` and of the body, a line each; then these, and the
-- result.
-- @include time
-- @constant FLOW_KEY, OUTLINE_KEY
-- @rare
local function in_flow(ctx)
  return ctx and string.find(ctx, '"' .. FLOW_KEY .. '":', 1, true)
end
-- @rare
local function has_outline(ctx)
  return ctx and string.find(ctx, '"' .. OUTLINE_KEY .. '":', 1, true)
end
-- @rare
local function note_ending(id, status, ttl, ctx, ...)
  local hash = redis.call('HMGET', prefix .. 'task:' .. id, 'token', 'queue', 'task', 'serializer', 'body',
    'status')
  local set, given = {}, { ... }
  for i = 1, #given, 2 do set[given[i]] = given[i + 1] end
  local serializer = set.serializer or status ~= 'completed' and hash[4] or ''
  local body = hash[6] == 'delayed' and hash[5] or ''
  local key = id .. ' ' .. (hash[1] or '0')
  local head = table.concat({ key, status, serializer, hash[2] or hash[3], stamp, #ctx, #body, ctx }, '\n')
  redis.call('HSET', prefix .. 'endings', key, head .. body .. (set.result or ''))
  if hash[6] ~= 'delayed' then return end -- others have no slots
  if status == 'cancelled' and ttl then
    redis.call('PEXPIRE', prefix .. 'slots:' .. id, ttl)
  else
    redis.call('DEL', prefix .. 'slots:' .. id)
  end
end
