-- The limits of a lane: how many tasks may start in a time, and how many may run at once. A rate is a leaky
-- bucket. Each start fills it by one, and in an interval one runs out. What is kept is how full it was at the
-- last start, and when that was. Neither is in units of a rate, so it holds for another rate as well.
-- read_limits(first): the limits that begin at ARGV[first], by lane: interval, burst and most.
-- allowance(lane, limit, wanted): how many of the wanted tasks a lane may start now.
-- next_start(lane, limit): when a lane that may not start more tasks now may start the next one.
-- spend(lane, limit, claim, before): count the tasks of a claim after its first `before` as started.
-- @include time, call_or_reset
-- @constant RECHECK
-- @rare
local function read_limits(first)
  local limits = {}
  for i = first, #ARGV, 4 do
    limits[ARGV[i]] = { interval = tonumber(ARGV[i + 1]), burst = tonumber(ARGV[i + 2]),
      most = tonumber(ARGV[i + 3]) }
  end
  return limits
end
local function last_start(lane, limit)
  local kept = call_or_reset('GET', prefix .. 'rate:' .. lane) or ''
  local filled, moment = string.match(kept, '^(%d+%.?%d*) (%d+%.?%d*)$')
  moment = tonumber(moment)
  if not moment or moment > now then return 0, now end -- or the clock was set back: nothing else is known
  return math.min(tonumber(filled), limit.burst), moment
end
local function used_now(lane, limit)
  local filled, moment = last_start(lane, limit)
  return math.max(0, filled - (now - moment) / limit.interval)
end
-- Counts what was started in a queue's own lane before it had this limit. Returns how many those are.
local function adopt_running(lane, running, count)
  local leases, adopted = prefix .. 'leases:' .. lane, 0
  if call_or_reset('ZCARD', leases) <= count then return 0 end
  for _, id in ipairs(call_or_reset('ZRANGE', leases, 0, -1)) do
    local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'token', 'lane')
    if not hash.err and hash[1] == 'working' and hash[2] and not hash[3] then
      adopted = adopted + redis.call('SADD', running, id .. ' ' .. hash[2])
    end
  end
  return adopted
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
  return count + adopt_running(lane, running, count)
end
-- @rare
local function allowance(lane, limit, wanted)
  if limit.interval then
    wanted = math.min(wanted, math.floor(limit.burst - used_now(lane, limit) + 1e-6))
  end
  if limit.most and wanted > 0 then wanted = math.min(wanted, limit.most - running_in(lane)) end
  return math.max(0, wanted)
end
-- @rare
local function next_start(lane, limit)
  local start = limit.interval and now + (used_now(lane, limit) - (limit.burst - 1)) * limit.interval
  return start and start > now and start or now + RECHECK
end
-- @rare
local function spend(lane, limit, claim, before)
  if #claim.ids == before then return end
  if limit.interval then
    local used = used_now(lane, limit) + #claim.ids - before
    local life = math.ceil(used * limit.interval * 1000) + 1000
    redis.call('SET', prefix .. 'rate:' .. lane, string.format('%.9f %s', used, stamp), 'PX',
      string.format('%.0f', life))
  end
  for i = before + 1, limit.most and #claim.ids or 0 do
    redis.call('SADD', prefix .. 'running:' .. lane, claim.ids[i] .. ' ' .. claim.tokens[i])
  end
end
