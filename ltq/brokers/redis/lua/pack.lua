--[[
pack: read waiting tasks or dead letters as they are.

KEYS[1] prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] most_bytes  of the hashes; the reply ends with the one that reaches it
ARGV[2] dead        '1' for dead letters, '' for tasks
ARGV[3...] ids

RETURNS for each id, or for the first ones, {due, unique_until, fields and values of the hash}: when a
        delayed task of the queue its hash names is due, else nil; until when no other task with its
        fingerprint is enqueued, else nil
]]
local prefix, most_bytes, dead, packed, size = KEYS[1], tonumber(ARGV[1]), ARGV[2], {}, 0
-- @include time
-- @constant TASK_BYTES
local function hash_of(fields)
  local hash = {}
  for k = 1, #fields, 2 do hash[fields[k]] = fields[k + 1] end
  return hash
end
local function due_of(id, hash)
  if hash.status ~= 'delayed' then return false end
  local due = redis.pcall('ZSCORE', prefix .. 'delayed:' .. (hash.queue or hash.task or ''), id)
  return type(due) == 'string' and due
end
local function unique_until(id, hash)
  local key = hash.fingerprint and prefix .. 'unique:' .. hash.fingerprint
  if not key or redis.pcall('GET', key) ~= id then return false end
  return at(now + redis.call('PTTL', key) / 1000)
end
for i = 3, #ARGV do
  if size >= most_bytes and i > 3 then break end
  local id = ARGV[i]
  local key = dead == '1' and prefix .. 'dead_letter:' .. id or prefix .. 'task:' .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err then fields = {} end
  local hash = hash_of(fields)
  packed[#packed + 1] = { due_of(id, hash), unique_until(id, hash), fields }
  size = size + TASK_BYTES
  for k = 2, #fields, 2 do size = size + #fields[k] end
end
return packed
