-- One new task for now, without conditions, is what most calls bring: it needs none of what follows.
local plain = ARGV[6] == '0' and ARGV[7] == '' and ARGV[8] == '' and again == ''
if plain and #ARGV == 9 + tonumber(ARGV[9]) then
  local key, lane = prefix .. 'task:' .. ARGV[2], ARGV[4]
  if redis.call('EXISTS', key) == 0 then
    local is_new = sure('SADD', prefix .. 'lanes', lane) == 1
    redis.call('HSET', key, 'status', 'pending', 'enqueue_time', stamp, unpack(ARGV, 10))
    line_up(ARGV[5] .. ':' .. lane, ARGV[2])
    return { 'created', is_new and 'new' or nil }
  end
end
