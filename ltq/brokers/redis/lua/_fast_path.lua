-- send_plain(first): the short way for what most calls bring: one group of tasks (as `send` describes it,
-- from ARGV[first] on) without delay and conditions, none of which exists yet. It enqueues them and returns
-- the reply of `send`. Other tasks need the long way: then it returns nothing.
-- @include time, call_or_reset, enqueue_ready
local function send_plain(first)
  local delay, eta, conditions = ARGV[first + 3], ARGV[first + 4], ARGV[first + 6]
  if delay ~= '0' or eta ~= '' or conditions ~= '0' then return end
  local lane, first_field = ARGV[first + 1], first + 8
  local first_id = first_field + ARGV[first + 7]
  if first_id + 2 * ARGV[first + 5] ~= #ARGV + 1 then return end -- more than one group
  local keys, ids, seen = {}, {}, {}
  for i = first_id, #ARGV, 2 do keys[#keys + 1] = prefix .. 'task:' .. ARGV[i] end
  if redis.call('EXISTS', unpack(keys)) > 0 then return end
  local answers, k = { call_or_reset('SADD', prefix .. 'lanes', ARGV[first]) }, first_id
  for i, key in ipairs(keys) do
    if not seen[key] then
      redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, 'body', ARGV[k + 1],
        unpack(ARGV, first_field, first_id - 1))
      seen[key], ids[#ids + 1], answers[i + 1] = true, ARGV[k], 'created'
    end
    answers[i + 1], k = answers[i + 1] or 'exists', k + 2
  end
  enqueue_ready(lane, ARGV[first + 2], unpack(ids))
  return answers
end
