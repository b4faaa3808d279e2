--[[
pack: read waiting tasks or dead letters as they are.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of the hashes; the reply ends with the one that reaches it
ARGV[2] dead        '1' for dead letters, '' for tasks
ARGV[3...] ids

RETURNS for each id, or for the first ones, {due, fields and values of the hash}: when a delayed task of
        the queue its hash names is due, else nil
]]
-- @constant TASK_BYTES
local prefix, most_bytes, dead, packed, size = KEYS[1], tonumber(ARGV[1]), ARGV[2], {}, 0
local function due_of(id, fields)
  local hash = {}
  for k = 1, #fields, 2 do hash[fields[k]] = fields[k + 1] end
  if hash.status ~= 'delayed' then return false end
  local due = redis.pcall('ZSCORE', prefix .. 'delayed:' .. (hash.queue or hash.task or ''), id)
  return type(due) == 'string' and due
end
for i = 3, #ARGV do
  if size >= most_bytes and i > 3 then break end
  local id = ARGV[i]
  local key = dead == '1' and prefix .. 'dead_letter:' .. id or prefix .. 'task:' .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then fields = {} end
  packed[#packed + 1] = { due_of(id, fields), fields }
  size = size + TASK_BYTES
  for k = 2, #fields, 2 do size = size + #fields[k] end
end
return packed
