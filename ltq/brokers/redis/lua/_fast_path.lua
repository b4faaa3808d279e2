-- send_plain(first): the short way for what most calls bring: one group of tasks (as `send` describes it,
-- from ARGV[first] on) without delay and conditions, all of them new. It enqueues them and returns the reply
-- of `send`. Other tasks need the long way: then it returns nothing.
-- @include time, call_or_reset, enqueue_ready
local function send_plain(first)
  local delay, eta, conditions = ARGV[first + 3], ARGV[first + 4], ARGV[first + 6]
  if delay ~= '0' or eta ~= '' or conditions ~= '0' then return end
  local lane, first_field, count = ARGV[first + 1], first + 8, tonumber(ARGV[first + 5])
  local first_id = first_field + ARGV[first + 7]
  if first_id + 2 * count ~= #ARGV + 1 then return end -- more than one group
  local start, keys, ids, seen = prefix .. 'task:', {}, {}, {}
  for i = 1, count do
    local id = ARGV[first_id + 2 * i - 2]
    if seen[id] then return end
    seen[id], ids[i], keys[i] = true, id, start .. id
  end
  local call = redis.call
  if call('EXISTS', unpack(keys)) > 0 then return end
  local new_queues = call_or_reset('SADD', prefix .. 'lanes', ARGV[first])
  for i = 1, count do
    call('HSET', keys[i], 'status', 'pending', 'enqueue_time', stamp, 'body', ARGV[first_id + 2 * i - 1],
      unpack(ARGV, first_field, first_id - 1))
  end
  enqueue_ready(lane, ARGV[first + 2], unpack(ids))
  return { new_queues, count }
end
