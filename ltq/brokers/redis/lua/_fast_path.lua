-- send_plain(first): enqueue the one group of tasks that begins at ARGV[first], as `send` describes it, if
-- none of them is delayed, has conditions, or is there already. That is what most calls bring.
-- Returns the answers of `send` and how many lanes are new; nothing if the tasks need the longer way.
-- @include time, call_or_reset, enqueue_ready
local function send_plain(first)
  local delay, eta, conditions = ARGV[first + 3], ARGV[first + 4], ARGV[first + 6]
  if delay ~= '0' or eta ~= '' or conditions ~= '0' then return end
  local lane, first_field = ARGV[first + 1], first + 8
  local first_id = first_field + tonumber(ARGV[first + 7])
  if first_id + 2 * tonumber(ARGV[first + 5]) ~= #ARGV + 1 then return end
  local keys, ids, seen, answers = {}, {}, {}, {}
  for i = first_id, #ARGV, 2 do keys[#keys + 1] = prefix .. 'task:' .. ARGV[i] end
  if redis.call('EXISTS', unpack(keys)) > 0 then return end
  local new_lanes = call_or_reset('SADD', prefix .. 'lanes', lane)
  local k = first_id
  for i, key in ipairs(keys) do
    if not seen[key] then
      redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, 'body', ARGV[k + 1],
        unpack(ARGV, first_field, first_id - 1))
      seen[key], ids[#ids + 1], answers[i] = true, ARGV[k], 'created'
    end
    answers[i], k = answers[i] or 'exists', k + 2
  end
  enqueue_ready(ARGV[first + 2] .. ':' .. lane, unpack(ids))
  return answers, new_lanes
end
