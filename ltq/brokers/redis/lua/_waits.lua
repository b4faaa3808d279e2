-- note_wait(queue, sent, back): a task that waits since then is claimed. Those sent together cost little.
-- Returns what was noted: for others like it, its `count` grows.
-- flush_waits(): note all of that in the history. Call it once, before flush_history().
-- @include history
local waits = {}
local function note_wait(queue, sent, back)
  local last = waits[#waits]
  if last and sent == last.sent and back == last.back and queue == last.queue then
    last.count = last.count + 1
  else
    local since = back and math.max(tonumber(sent) or 0, tonumber(back) or 0) or tonumber(sent) or 0
    local duration, bucket = measured(micros - 1e6 * since)
    last = { queue = queue, sent = sent, back = back, duration = duration, bucket = bucket, count = 1 }
    waits[#waits + 1] = last
  end
  return last
end
local function flush_waits()
  for _, wait in ipairs(waits) do
    note_count(wait.queue, string.format('w%d', wait.bucket), wait.count)
    note_count(wait.queue, 'ws', wait.count * wait.duration)
  end
end
