-- note_count(queue, name, count): something has happened in a queue.
-- flush_history(): add all that was noted to the figures of this minute. Call it at the very end.
-- measured(duration): the duration that counts, and its bucket.
-- figures_at(moment, queue): the key of the figures of a minute.
-- add_figure(key, name, number): add to a figure.
-- micros: the time, in microseconds.
-- first_bucket: the first duration that is not in the first bucket.
-- Durations are in microseconds here, in buckets; `ltq/broker/history.py` describes the figures.
-- @include time
-- @constant BUCKETS_A_LOG, FIRST_BUCKET, HISTORY_TTL, LAST_BUCKET, MAX_DURATION
local micros, first_bucket, most = time[1] * 1e6 + time[2], FIRST_BUCKET * 1e6, MAX_DURATION * 1e6
local noted = {} -- by queue, what to add to its figures, by their names
local function measured(duration)
  if not (duration > 0 and duration < most) then return 0, 0 end -- a clock was set, or "nan"
  if duration < first_bucket then return duration, 0 end
  return duration, math.min(LAST_BUCKET, math.floor(BUCKETS_A_LOG * math.log(duration / first_bucket)) + 1)
end
local function note_count(queue, name, count)
  -- With room for three: a table that grows costs more.
  local figures = noted[queue] or { completed = nil, rs = nil, ws = nil }
  noted[queue], figures[name] = figures, (figures[name] or 0) + count
end
local function figures_at(moment, queue)
  return prefix .. 'history:' .. string.format('%d', moment / 60) .. ':' .. queue
end
local function add_figure(key, name, number)
  if number >= -0.5 and number <= 0.5 then return end
  local is_small = number > 0 and number < 2 ^ 31 -- '%d' costs half as much
  local text = number == 1 and '1' or is_small and string.format('%d', number + 0.5) or
    string.format('%.0f', number)
  local total = redis.pcall('HINCRBY', key, name, text)
  if type(total) ~= 'number' and redis.call('DEL', key) then -- it was spoilt
    total = redis.call('HINCRBY', key, name, text)
  end
  if total == number then redis.call('EXPIRE', key, HISTORY_TTL) end -- the first of its name
end
local function flush_history()
  for queue, figures in pairs(noted) do
    local key = figures_at(now, queue)
    for name, number in pairs(figures) do add_figure(key, name, number) end
    noted[queue] = nil
  end
end
