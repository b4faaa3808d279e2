--[[
cancel_many: cancel tasks of a queue, a limited number at a time, from the back of one of their places on.

A repeated step gives the same reply.

KEYS[1]  prefix      of all keys of the namespace, "ltq:{namespace}:"
ARGV[1]  again       '1' if this step may have been carried out before, else ''
ARGV[2]  call        id of the call
ARGV[3]  step        its number within the call
ARGV[4]  queue       whose tasks
ARGV[5]  status      of the tasks to cancel: 'pending', 'delayed' or 'working'
ARGV[6]  member      "<priority>:<lane>" of the ready list with the pending ones, else ''
ARGV[7]  offset      int, how many tasks at the back of the place were looked at already, and stayed there
ARGV[8]  limit       int, most tasks to look at
ARGV[9]  task_name   of the tasks, or '' for all
ARGV[10] tag         of the tasks, or '' for all
ARGV[11] before      Unix seconds: only tasks that were sent until then
ARGV[12] result_ttl  seconds their states are kept, if a task has no result_ttl of its own
ARGV[13] notes       what is noted, see `_notes.lua`

RETURNS {cancelled, looked, left}: how many were cancelled, how many were looked at, and how many tasks have
        left the place
]]
local prefix, again, call, step, queue, status = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local member, offset, limit = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local task_name, tag, before, result_ttl, notes = ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12], ARGV[13]
-- @include call_or_reset, free_first, cancel_task, notes, tags
-- @constant STEP_TTL
local history, listed = read_notes(notes)

local answered = prefix .. 'step:' .. call
if again == '1' then
  local known = call_or_reset('GET', answered) or ''
  local last, cancelled, looked, left = string.match(known, '^(%d+) (%d+) (%d+) (%d+)$')
  if last == step then return { tonumber(cancelled), tonumber(looked), tonumber(left) } end
end

local function is_meant(hash, sent, tags)
  if hash.err or hash[1] ~= status or (hash[3] or hash[2]) ~= queue then return false end
  if task_name ~= '' and hash[2] ~= task_name or (tonumber(sent) or 0) > before then return false end
  return tag == '' or has_tag(tags, tag)
end

free_first()
local range, size, key = 'ZRANGE', 'ZCARD', prefix .. 'leases:' .. queue
if status == 'delayed' then key = prefix .. 'delayed:' .. queue end
if status == 'pending' then range, size, key = 'LRANGE', 'LLEN', prefix .. 'ready:' .. member end
local before_all, cancelled = call_or_reset(size, key), 0
local ids = call_or_reset(range, key, -offset - limit, -offset - 1)
for i = #ids, 1, -1 do
  local hash = read_task(ids[i])
  if is_meant(hash, hash[9], hash[10]) then
    cancel_task(ids[i], queue, hash, result_ttl, listed)
    cancelled = cancelled + 1
  end
end
finish_cancels(queue, status, cancelled, history)
local left = before_all - call_or_reset(size, key)
if #ids > 0 then
  redis.call('SET', answered, table.concat({ step, cancelled, #ids, left }, ' '), 'EX', STEP_TTL)
end
return { cancelled, #ids, left }
