-- note_wait(queue, sent, back): a task that waits since then is claimed. Those sent together cost little.
-- note_runs(queue, positions): runs have ended by themselves. Behind each position of ARGV is the token of
-- its lease, the time of the claim.
-- note_count(queue, name, count): something else has happened in a queue.
-- flush_history(): add all that was noted to the figures of this minute. Call it once, at the very end.
-- measured(duration): the duration that counts, its bucket, and where that begins and ends.
-- figures_at(moment, queue): the key of the figures of a minute.
-- add_figure(key, name, number): add to a figure.
-- Durations are in microseconds here, in buckets; `ltq/broker/history.py` describes the figures.
-- @include time, waits_since
-- @constant BUCKETS_A_DOUBLING, FIRST_BUCKET, HISTORY_TTL, LAST_BUCKET, MAX_DURATION
local micros, first_bucket, most = now * 1e6, FIRST_BUCKET * 1e6, MAX_DURATION * 1e6
local buckets_a_log = BUCKETS_A_DOUBLING / math.log(2)
local noted = {} -- by queue, what to add to its figures, by their names
local same, many = {}, 0 -- how long tasks have waited, and how many in a row as long
local function measured(duration)
  if not (duration > 0 and duration < most) then duration = 0 end -- a clock was set, or "nan"
  if duration < first_bucket then return duration, 0, 0, first_bucket end
  local above = math.floor(buckets_a_log * math.log(duration / first_bucket)) + 1
  local low = first_bucket * 2 ^ ((above - 1) / BUCKETS_A_DOUBLING)
  return duration, math.min(LAST_BUCKET, above), low, low * 2 ^ (1 / BUCKETS_A_DOUBLING)
end
local function note_count(queue, name, count)
  local figures = noted[queue] or {}
  noted[queue], figures[name] = figures, (figures[name] or 0) + count
end
local function note_spread(kind, queue, bucket, count, sum)
  if count == 0 then return end
  note_count(queue, kind .. bucket, count)
  note_count(queue, kind .. 's', sum)
end
local function note_wait(queue, sent, back)
  if many == 0 or sent ~= same.sent or back ~= same.back or queue ~= same.queue then
    note_spread('w', same.queue, same.bucket, many, many * (same.duration or 0))
    local duration, bucket = measured(micros - 1e6 * waits_since(sent, back))
    many, same = 0, { queue = queue, sent = sent, back = back, duration = duration, bucket = bucket }
  end
  many = many + 1
end
local function note_runs(queue, positions)
  local count, sum, bucket, low, high = 0, 0, 0, 0, 0
  for i = 1, #positions do
    local ran = micros - ARGV[positions[i] + 1]
    if not (ran >= low and ran < high) then
      note_spread('r', queue, bucket, count, sum)
      count, sum, ran, bucket, low, high = 0, 0, measured(ran)
    end
    count, sum = count + 1, sum + ran
  end
  note_spread('r', queue, bucket, count, sum)
end
local function figures_at(moment, queue)
  return prefix .. 'history:' .. string.format('%.0f', math.floor(moment / 60)) .. ':' .. queue
end
local function add_figure(key, name, number)
  if number >= -0.5 and number <= 0.5 then return end
  local total = redis.pcall('HINCRBY', key, name, string.format('%.0f', number))
  if type(total) ~= 'number' and redis.call('DEL', key) then -- it was spoilt
    total = redis.call('HINCRBY', key, name, string.format('%.0f', number))
  end
  if total == number then redis.call('EXPIRE', key, HISTORY_TTL) end -- the first of its name
end
local function flush_history()
  note_spread('w', same.queue, same.bucket, many, many * (same.duration or 0))
  for queue, figures in pairs(noted) do
    local key = figures_at(now, queue)
    for name, number in pairs(figures) do add_figure(key, name, number) end
  end
end
