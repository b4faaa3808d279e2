--[[
rerun: send final tasks of a queue once more, as new tasks, or none of them. A repeated call sends nothing,
whatever has become of the new tasks since.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] again     '1' if this call may have been carried out before, else ''
ARGV[2] queue     whose tasks
ARGV[3...] tasks  for each: its id, and the id of the new task

RETURNS for each 'created'; or, if none was sent, for each '' (it could be), 'gone', 'empty' (its arguments
        were not kept), or the status of one that is not final
]]
local prefix, again, queue = KEYS[1], ARGV[1], ARGV[2]
-- @include time, call_or_reset, free_first, live, ready_batch
-- @constant STEP_TTL

local KEPT = { 'task', 'queue', 'body', 'ctx', 'lane', 'priority', 'timeout', 'max_tries', 'result_ttl',
  'max_deliveries', 'tags', 'keep_body', 'max_items' }
local function read(id)
  local key, fields = prefix .. 'task:' .. id, {}
  local head = redis.pcall('HMGET', key, 'status', 'queue', 'task', 'body', 'body_serializer',
    'keep_body')
  if head.err or not head[1] or not head[3] or (head[2] or head[3]) ~= queue then return 'gone' end
  if is_live(head[1]) then return head[1] end
  if not head[4] or head[4] == '' and head[1] == 'completed' and head[6] ~= '1' then return 'empty' end
  for i, value in ipairs(redis.call('HMGET', key, unpack(KEPT))) do
    if value then fields[#fields + 1], fields[#fields + 2] = KEPT[i], value end
    if value then fields[KEPT[i]] = value end
  end
  if head[5] then fields[#fields + 1], fields[#fields + 2] = 'serializer', head[5] end
  return '', fields
end

local answers, found, new_ids, created, is_wrong = {}, {}, {}, {}, false
for i = 3, #ARGV, 2 do
  local k = #answers + 1
  answers[k], found[k] = read(ARGV[i])
  new_ids[k], created[k], is_wrong = ARGV[i + 1], 'created', is_wrong or answers[k] ~= ''
end
if #answers == 0 then return answers end
local sent = prefix .. 'step:' .. new_ids[1]
if again == '1' and redis.call('EXISTS', sent) == 1 then return created end
if is_wrong then return answers end

free_first()
call_or_reset('SADD', prefix .. 'lanes', queue)
for k, fields in ipairs(found) do
  local id = new_ids[k]
  redis.call('HSET', prefix .. 'task:' .. id, 'status', 'pending', 'enqueue_time', stamp, unpack(fields))
  add_ready(fields.lane or queue, fields.priority, id)
end
flush_ready()
redis.call('SET', sent, '1', 'EX', STEP_TTL)
return created
