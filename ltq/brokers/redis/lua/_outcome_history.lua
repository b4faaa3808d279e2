-- count_outcomes(groups): count in the history what became of tasks, and how long their runs took, by their
-- groups of outcomes (see `read_outcomes`). The token of a lease is the time of its claim, in microseconds.
-- @include history
-- @constant BUCKETS_A_DOUBLING
local function note_runs(queue, positions)
  local counts, sum, low, high, bucket, count, arguments = {}, 0, 0, 0, 0, 0, ARGV
  for i = 1, #positions do
    local ran = micros - arguments[positions[i] + 1] -- Lua reads the token as a number
    if not (ran >= low and ran < high) then -- looked up once for those in a row that took as long
      counts[bucket], count = (counts[bucket] or 0) + count, 0
      ran, bucket = measured(ran)
      low = bucket > 0 and first_bucket * 2 ^ ((bucket - 1) / BUCKETS_A_DOUBLING) or 0
      high = bucket > 0 and low * 2 ^ (1 / BUCKETS_A_DOUBLING) or first_bucket
    end
    count, sum = count + 1, sum + ran
  end
  counts[bucket] = (counts[bucket] or 0) + count
  for of, count in pairs(counts) do note_count(queue, string.format('r%d', of), count) end
  note_count(queue, 'rs', sum)
end
local function count_outcomes(groups)
  for _, group in ipairs(groups) do
    if not group.puts_back then
      note_count(group.queue, group.status, #group.accepted)
    elseif not group.flags.void then
      note_count(group.queue, 'retried', #group.accepted)
    end
    if not group.flags.void then note_runs(group.queue, group.accepted) end
  end
  flush_history()
end
