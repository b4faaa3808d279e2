-- A task that is cancelled while it waits in a long ready list leaves its id there, as it would take long to
-- find. The hash `skipped:<member>` says how many entries of each such id are to be skipped: the first ones
-- of that id, as a task with the same id may wait behind them. '' has the sum.
-- count_skipped(member): how many entries of the ready list `member` ("<priority>:<lane>") are skipped.
-- count_waiting(member): how many are tasks that wait.
-- keep_wanted(member, ids): the ids, just taken from the front of the list, but for those that are skipped.
-- set_skipped(member, count): keep that sum.
-- skip_front(member, most): take about so many skipped entries, at most, from the front of the list. Returns
-- how many more it might have taken: none, if there may be more of them.
-- trim_skipped(member, id): after a loss, no more entries of the id are to be skipped than the list has.
-- waits_at(member, id, position): whether the entry of an id there is not skipped.
-- unlink(key): delete a key that may be large.
-- @include call_or_reset
local CHUNK = 128
local function unlink(key) -- a user who may not do that has a long list deleted at once
  local reply = redis.pcall('UNLINK', key)
  if type(reply) == 'table' and reply.err then redis.call('DEL', key) end
end
local function count_skipped(member)
  return tonumber(call_or_reset('HGET', prefix .. 'skipped:' .. member, '') or '') or 0
end
local function count_waiting(member)
  local entries = call_or_reset('LLEN', prefix .. 'ready:' .. member)
  local skipped = entries > 0 and count_skipped(member) or 0
  return skipped > entries and entries or entries - skipped -- too many: the list was lost and made again
end
local function set_skipped(member, count)
  local key = prefix .. 'skipped:' .. member
  if count > 0 then redis.call('HSET', key, '', string.format('%.0f', count)) else unlink(key) end
end
-- @rare
local function keep_wanted(member, ids)
  local key, kept, gone, left, dropped = prefix .. 'skipped:' .. member, {}, {}, {}, 0
  local skipped = #ids > 0 and count_skipped(member) or 0
  if skipped == 0 then return ids end
  for first = 1, #ids, 1000 do
    for i, count in ipairs(call_or_reset('HMGET', key, unpack(ids, first, math.min(first + 999, #ids)))) do
      local id = ids[first + i - 1]
      left[id] = left[id] or tonumber(count or '') or 0
      if left[id] > 0 then
        left[id], dropped = left[id] - 1, dropped + 1
        if left[id] == 0 then gone[#gone + 1] = id else redis.call('HSET', key, id, left[id]) end
      else
        kept[#kept + 1] = id
      end
    end
  end
  if dropped == 0 then return ids end
  for i = 1, #gone, 1000 do redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone))) end
  set_skipped(member, skipped - dropped)
  return kept
end
local function trim_skipped(member, id)
  local key = prefix .. 'skipped:' .. member
  local count = tonumber(call_or_reset('HGET', key, id) or '')
  if not count then return end
  local there = #call_or_reset('LPOS', prefix .. 'ready:' .. member, id, 'COUNT', count)
  if there == count then return end
  if there > 0 then redis.call('HSET', key, id, there) else redis.call('HDEL', key, id) end
  set_skipped(member, count_skipped(member) - count + there)
end
-- @rare
local function skip_front(member, most)
  local ready, chunk = prefix .. 'ready:' .. member, 1
  while most > 0 and count_skipped(member) > 0 do
    local head = call_or_reset('LINDEX', ready, 0)
    if not head or not call_or_reset('HGET', prefix .. 'skipped:' .. member, head) then break end
    local kept = keep_wanted(member, call_or_reset('LPOP', ready, chunk))
    for i = #kept, 1, -1 do redis.call('LPUSH', ready, kept[i]) end
    most, chunk = most - chunk, math.min(2 * chunk, CHUNK)
  end
  return most
end
local function waits_at(member, id, position)
  local count = tonumber(call_or_reset('HGET', prefix .. 'skipped:' .. member, id) or '')
  return not count or redis.call('LPOS', prefix .. 'ready:' .. member, id, 'RANK', count + 1) == position
end
