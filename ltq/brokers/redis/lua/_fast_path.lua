-- New tasks for now, alike and without conditions, are what most calls bring: they need none of what
-- follows. After `lineup`.
local first = 10 + (tonumber(ARGV[9]) or 0)
local is_plain = again == '' and ARGV[5] == '0' and ARGV[6] == '' and ARGV[7] == ''
if is_plain and #ARGV == first - 1 + 2 * tonumber(ARGV[8]) then
  local keys, ids, seen, answers = {}, {}, {}, {}
  for i = first, #ARGV, 2 do keys[#keys + 1] = prefix .. 'task:' .. ARGV[i] end
  if redis.call('EXISTS', unpack(keys)) == 0 then
    local lane, k = ARGV[3], first
    local is_new = call_or_reset('SADD', prefix .. 'lanes', lane) == 1
    for i, key in ipairs(keys) do
      if not seen[key] then
        redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, 'body', ARGV[k + 1],
          unpack(ARGV, 10, first - 1))
        seen[key], ids[#ids + 1], answers[i] = true, ARGV[k], 'created'
      end
      answers[i], k = answers[i] or 'exists', k + 2
    end
    enqueue_ready(ARGV[4] .. ':' .. lane, unpack(ids))
    if is_new then answers[#answers + 1] = 'new' end
    return answers
  end
end
