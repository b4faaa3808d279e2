-- note_wait(queue, sent, back): a task that waits since then is claimed. Those sent together cost little.
-- note_runs(queue, positions): runs have ended by themselves. Behind each position of ARGV is the token of
-- its lease, the time of the claim.
-- note_count(queue, name, count): something else has happened in a queue.
-- flush_history(): add all that was noted to the figures of this minute. Call it once, at the very end.
-- measured(duration): the duration that counts, and its bucket.
-- figures_at(moment, queue): the key of the figures of a minute.
-- add_figure(key, name, number): add to a figure.
-- Durations are in microseconds here, in buckets; `ltq/broker/history.py` describes the figures.
-- @include time, waits_since
-- @constant BUCKETS_A_DOUBLING, FIRST_BUCKET, HISTORY_TTL, LAST_BUCKET, MAX_DURATION
local micros, first_bucket, most = now * 1e6, FIRST_BUCKET * 1e6, MAX_DURATION * 1e6
local buckets_a_log = BUCKETS_A_DOUBLING / math.log(2)
local noted = {} -- by queue, what to add to its figures, by their names
local same, many -- how long tasks have waited, and how many in a row as long
local function measured(duration)
  if not (duration > 0 and duration < most) then return 0, 0 end -- a clock was set, or "nan"
  if duration < first_bucket then return duration, 0 end
  return duration, math.min(LAST_BUCKET, math.floor(buckets_a_log * math.log(duration / first_bucket)) + 1)
end
local function note_count(queue, name, count)
  local figures = noted[queue] or {}
  noted[queue], figures[name] = figures, (figures[name] or 0) + count
end
local function note_spread(kind, queue, bucket, count, sum)
  note_count(queue, kind .. bucket, count)
  note_count(queue, kind .. 's', sum)
end
local function flush_waits()
  if same then note_spread('w', same.queue, same.bucket, many, many * same.duration) end
end
local function note_wait(queue, sent, back)
  if not same or sent ~= same.sent or back ~= same.back or queue ~= same.queue then
    flush_waits()
    local duration, bucket = measured(micros - 1e6 * waits_since(sent, back))
    many, same = 0, { queue = queue, sent = sent, back = back, duration = duration, bucket = bucket }
  end
  many = many + 1
end
local function note_runs(queue, positions)
  local counts, sums, low, high, bucket = {}, {}, 0, 0, 0
  for _, k in ipairs(positions) do
    local ran = micros - ARGV[k + 1]
    if not (ran >= low and ran < high) then -- looked up once for those in a row that took as long
      ran, bucket = measured(ran)
      low = bucket > 0 and first_bucket * 2 ^ ((bucket - 1) / BUCKETS_A_DOUBLING) or 0
      high = bucket > 0 and low * 2 ^ (1 / BUCKETS_A_DOUBLING) or first_bucket
    end
    counts[bucket], sums[bucket] = (counts[bucket] or 0) + 1, (sums[bucket] or 0) + ran
  end
  for of, count in pairs(counts) do note_spread('r', queue, of, count, sums[of]) end
end
local function figures_at(moment, queue)
  return prefix .. 'history:' .. string.format('%d', moment / 60) .. ':' .. queue
end
local function add_figure(key, name, number)
  if number >= -0.5 and number <= 0.5 then return end
  local text = number == 1 and '1' or string.format('%.0f', number)
  local total = redis.pcall('HINCRBY', key, name, text)
  if type(total) ~= 'number' and redis.call('DEL', key) then -- it was spoilt
    total = redis.call('HINCRBY', key, name, text)
  end
  if total == number then redis.call('EXPIRE', key, HISTORY_TTL) end -- the first of its name
end
local function flush_history()
  flush_waits()
  for queue, figures in pairs(noted) do
    local key = figures_at(now, queue)
    for name, number in pairs(figures) do add_figure(key, name, number) end
  end
end
