-- The limits of a lane: how many tasks may start in a time, and how many may run at once. The rate follows
-- the generic cell rate algorithm (ITU-T I.371): the time is kept at which it is completely unused again.
-- read_limits(first): the limits that begin at ARGV[first], by lane: interval, burst and most.
-- allowance(lane, limit, wanted): how many of the wanted tasks a lane may start now.
-- next_start(lane, limit): when a lane that may not start more tasks now may start the next one.
-- spend(lane, limit, tasks, before): count the tasks after the first `before` as started.
-- @include time, call_or_reset
-- @constant RECHECK
local function read_limits(first)
  local limits = {}
  for i = first, #ARGV, 4 do
    local interval, burst, most = unpack(ARGV, i + 1, i + 3)
    limits[ARGV[i]] = { interval = tonumber(interval), burst = tonumber(burst), most = tonumber(most) }
  end
  return limits
end
local function unused_from(lane)
  local moment = tonumber(call_or_reset('GET', prefix .. 'rate:' .. lane) or '') or 0
  return moment == moment and math.max(moment, now) or now -- "nan" is a number, too
end
local function running_in(lane)
  local count, running = 0, prefix .. 'running:' .. lane
  for _, member in ipairs(call_or_reset('SMEMBERS', running)) do
    local id, token = string.match(member, '^(%S+) (%S+)$')
    local hash = redis.pcall('HMGET', prefix .. 'task:' .. (id or ''), 'status', 'token')
    if not hash.err and hash[1] == 'working' and hash[2] == token then
      count = count + 1
    else
      redis.call('SREM', running, member)
    end
  end
  return count
end
local function allowance(lane, limit, wanted)
  if not limit then return wanted end
  if limit.interval then
    local used = (unused_from(lane) - now) / limit.interval
    wanted = math.min(wanted, math.floor(limit.burst - used + 1e-6))
  end
  if limit.most and wanted > 0 then wanted = math.min(wanted, limit.most - running_in(lane)) end
  return math.max(0, wanted)
end
local function next_start(lane, limit)
  local start = limit.interval and unused_from(lane) - (limit.burst - 1) * limit.interval
  return start and start > now and start or now + RECHECK
end
local function spend(lane, limit, tasks, before)
  if not limit or #tasks == before then return end
  if limit.interval then
    local moment = unused_from(lane) + (#tasks - before) * limit.interval
    local life = math.ceil((moment - now) * 1000) + 1000
    redis.call('SET', prefix .. 'rate:' .. lane, at(moment), 'PX', string.format('%.0f', life))
  end
  for i = before + 1, limit.most and #tasks or 0 do
    redis.call('SADD', prefix .. 'running:' .. lane, tasks[i][1] .. ' ' .. tasks[i][2])
  end
end
