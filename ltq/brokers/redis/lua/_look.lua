-- look(search, entry): the fields and values of a task for `tasks`, and their size; nil if it does not match,
-- or came to where it is after the run of pages had begun. `search` says what matches: queue, group,
-- statuses, task_name, tag and start. `entry` is one of a line of `task_lines`.
-- forget_dead(search): remove the oldest final tasks from the list, as far as their states were found to be
-- gone. Call it when all final tasks have been looked at.
-- @include call_or_reset, claimed_at, names, skipped, tags
-- @constant TASK_BYTES
local dead = 0 -- how many were looked at last whose states are gone
local function later(a, b) return math.max(tonumber(a) or 0, tonumber(b) or 0) end
local function came_at(group, hash)
  local claimed = hash.dequeue_count and claimed_at(hash.last_dequeue_time, hash.token)
  if group == 'pending' then return later(hash.enqueue_time, hash.last_requeue_time) end
  if group == 'delayed' then return later(hash.enqueue_time, claimed) end
  return later(group == 'working' and claimed or hash.release_time)
end
-- Whether a task matches by what can be said with few fields: most may not.
local function may_match(search, id, final_stamp)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'release_time', 'task', 'tags')
  dead = dead + 1
  if hash.err or final_stamp and hash[2] ~= final_stamp then return false end
  dead = 0
  if not hash[1] or not has(search.statuses, hash[1]) then return false end
  if search.task_name ~= '' and hash[3] ~= search.task_name then return false end
  return search.tag == '' or has_tag(hash[4], search.tag)
end
local function look(search, entry)
  local id, final_stamp = entry[1], entry[3]
  local is_rare = final_stamp or search.task_name ~= '' or search.tag ~= ''
  if is_rare and not may_match(search, id, final_stamp) then return end
  local fields, hash, size = redis.pcall('HGETALL', prefix .. 'task:' .. id), {}, TASK_BYTES
  if fields.err then return end
  for i = 1, #fields, 2 do hash[fields[i]], size = fields[i + 1], size + #fields[i + 1] end
  if not hash.status or not has(search.statuses, hash.status) then return end
  if (hash.queue or hash.task) ~= search.queue or came_at(search.group, hash) > search.start then return end
  -- Another one with its id may have been cancelled, and its entry be there still.
  if entry.member and not waits_at(entry.member, id, entry.position) then return end
  return fields, size
end
local function forget_dead(search)
  if search.group == 'final' and dead > 0 then
    call_or_reset('LPOP', prefix .. 'final:' .. search.queue, dead)
  end
end
