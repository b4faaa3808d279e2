-- withdraw(member, id): take a cancelled task out of the ready list `member`. In a long list its entry stays
-- for now, and is skipped, unless it is at an end of the list. When more is skipped than waits, the list is
-- written anew if it is not long. So few entries stay, and at most MOST_SKIPPED more than four for each task
-- that waits: beyond that an entry is looked for, however long it takes.
-- @include call_or_reset, drop_void, priorities, skipped
-- @constant MOST_SKIPPED, REWRITTEN_LIST, SHORT_LIST
local function rewrite(member)
  local ready = prefix .. 'ready:' .. member
  local kept = keep_wanted(member, call_or_reset('LRANGE', ready, 0, -1))
  redis.call('DEL', ready, prefix .. 'skipped:' .. member)
  for i = 1, #kept, 1000 do redis.call('RPUSH', ready, unpack(kept, i, math.min(i + 999, #kept))) end
end
local function waits_in(member, id)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'task', 'queue', 'lane', 'priority')
  return not hash.err and hash[1] == 'pending'
    and member == priority_of(hash[5]) .. ':' .. (hash[4] or hash[3] or hash[2] or '')
end
-- Take up to `most` skipped entries from the back of the list. The last entry of an id is skipped unless the
-- task waits there.
local function skip_back(member, most)
  local ready, key = prefix .. 'ready:' .. member, prefix .. 'skipped:' .. member
  for _ = 1, most do
    local last = call_or_reset('LINDEX', ready, -1)
    local count = last and tonumber(call_or_reset('HGET', key, last) or '')
    if not count or waits_in(member, last) then return end
    redis.call('LREM', ready, -1, last)
    if count > 1 then redis.call('HINCRBY', key, last, -1) else redis.call('HDEL', key, last) end
    set_skipped(member, count_skipped(member) - 1)
  end
end
local function withdraw(member, id)
  local ready, key = prefix .. 'ready:' .. member, prefix .. 'skipped:' .. member
  local entries, skipped = call_or_reset('LLEN', ready), count_skipped(member)
  local waiting = entries - skipped
  if call_or_reset('LINDEX', ready, -1) == id or entries <= SHORT_LIST or waiting < 1
    or skipped > 4 * waiting + MOST_SKIPPED then
    redis.call('LREM', ready, -1, id) -- the last one of this id: those before it are skipped
  elseif call_or_reset('LINDEX', ready, 0) == id then
    redis.call('LREM', ready, 1, id)
  else
    redis.call('HINCRBY', key, id, 1)
    redis.call('HINCRBY', key, '', 1)
    skipped, waiting = skipped + 1, waiting - 1
  end
  if skipped == 0 or drop_void(member) then return end
  if skipped > waiting and entries <= REWRITTEN_LIST then return rewrite(member) end
  skip_front(member, 16)
  skip_back(member, 16)
end
