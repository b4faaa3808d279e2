-- newest_change(): the number of the last change of a schedule of the namespace; 0 if there was none.
-- note_change(schedule, gone): a schedule was changed now, or with `gone` removed.
-- @include call_or_reset
-- @constant MAX_REMOVED
local function newest_change()
  local known = call_or_reset('ZRANGE', prefix .. 'schedules', -1, -1, 'WITHSCORES')
  local removed = call_or_reset('ZRANGE', prefix .. 'removed_schedules', -1, -1, 'WITHSCORES')
  return math.max(tonumber(known[2] or 0), tonumber(removed[2] or 0))
end
local function note_change(schedule, gone)
  local known, removed = prefix .. 'schedules', prefix .. 'removed_schedules'
  local number = newest_change() + 1
  redis.call('ZREM', gone and known or removed, schedule)
  redis.call('ZADD', gone and removed or known, number, schedule)
  if gone then redis.call('ZREMRANGEBYRANK', removed, 0, -MAX_REMOVED - 1) end
end
