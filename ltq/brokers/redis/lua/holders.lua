--[[
holders: tell who holds working tasks, and since when. It reads little of each, as they may be many.

KEYS[1] prefix  of all keys of the namespace, "ltq:{namespace}:"
ARGV[1...] ids

RETURNS for each {worker, task, last_dequeue_time, token}; the first one is nil if the task does not work
]]
local prefix, holders = KEYS[1], {}
for i, id in ipairs(ARGV) do
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'worker', 'task', 'last_dequeue_time', 'token',
    'status')
  local works = not hash.err and hash[5] == 'working'
  holders[i] = { works and hash[1], works and hash[2], works and hash[3], works and hash[4] }
end
return holders
