-- in_flow(ctx): whether a task with this `ctx` is part of a workflow.
-- has_outline(ctx): whether this `ctx` is kept as long as the state of its task.
-- note_ending(id, status, ttl, ctx, ...): keep the ending of such a task, before its hash is changed: `ttl`
-- is for how long its state is kept, as text, or nil. More fields and values are what is set then. An ending
-- is key, status, serializer, queue, time, bytes of `ctx`, of the body and of what follows, a line each; then
-- these, and the result.
-- early: the ids, as keys, of tasks whose results have arrived already: they leave no ending. It may be nil.
-- note_follow(id, status, result, fields): keep the ending of a task whose `follow`, one of the names and
-- values in `fields`, is to be sent. Call it before `finalize`.
-- @include time
-- @constant FLOW_KEY, OUTLINE_KEY
local follows, early = nil, nil -- by the ids of tasks; most calls have none
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
  if early and early[id] then return end
  local hash = redis.call('HMGET', prefix .. 'task:' .. id, 'token', 'queue', 'task', 'serializer', 'body',
    'status')
  local set, given = {}, { ... }
  for i = 1, #given, 2 do set[given[i]] = given[i + 1] end
  local serializer = set.serializer or status ~= 'completed' and hash[4] or ''
  local body = hash[6] == 'delayed' and hash[5] or ''
  local key = id .. ' ' .. (hash[1] or '0')
  local follow = follows and follows[id] or ''
  local head = { key, status, serializer, hash[2] or hash[3], stamp, #ctx, #body, #follow, ctx }
  local packed = table.concat(head, '\n') .. body .. follow .. (set.result or '')
  redis.call('HSET', prefix .. 'endings', key, packed)
  if hash[6] ~= 'delayed' then return end -- others have no slots
  if status == 'cancelled' and ttl then
    redis.call('PEXPIRE', prefix .. 'slots:' .. id, ttl)
  else
    redis.call('DEL', prefix .. 'slots:' .. id)
  end
end
-- @rare
local function note_follow(id, status, result, fields)
  follows = follows or {}
  for i = 1, #fields, 2 do if fields[i] == 'follow' then follows[id] = fields[i + 1] end end
  local ctx = redis.call('HGET', prefix .. 'task:' .. id, 'ctx')
  if in_flow(ctx) then return end -- `finalize` notes it
  note_ending(id, status, nil, ctx or '', 'result', result, unpack(fields))
end
