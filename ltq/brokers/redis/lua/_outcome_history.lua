-- count_outcomes(groups): count in the history what became of tasks, and how long their runs took, by their
-- groups of outcomes (see `read_outcomes`). The token of a lease is the time of its claim, in microseconds.
-- @include history
-- @constant BUCKETS_A_DOUBLING
local function note_runs(queue, positions)
  local counts, sum, low, high, bucket, head, since_head = {}, 0, 0, 0, 0, nil, 0
  for _, k in ipairs(positions) do
    local token = ARGV[k + 1]
    -- Most have all digits in common but the last three. To read whole numbers costs three times as much.
    local begin, a, b, c = string.sub(token, 1, -4), string.byte(token, -3, -1)
    if begin ~= head then head, since_head = begin, micros - 1000 * (tonumber(begin) or 0) end
    local ran = c and since_head - (100 * a + 10 * b + c - 5328) or 0 -- '0' is 48
    if not (ran >= low and ran < high) then -- looked up once for those in a row that took as long
      ran, bucket = measured(ran)
      low = bucket > 0 and first_bucket * 2 ^ ((bucket - 1) / BUCKETS_A_DOUBLING) or 0
      high = bucket > 0 and low * 2 ^ (1 / BUCKETS_A_DOUBLING) or first_bucket
    end
    counts[bucket], sum = (counts[bucket] or 0) + 1, sum + ran
  end
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
