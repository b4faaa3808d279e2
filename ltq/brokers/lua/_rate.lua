-- Rate limits of lanes, by the generic cell rate algorithm (ITU-T I.371): what is kept is the
-- moment from which the limit would be wholly unused again.
local function read_rates(first, last)
  local rates = {}
  for i = first, last, 3 do
    rates[ARGV[i]] = { interval = tonumber(ARGV[i + 1]), burst = tonumber(ARGV[i + 2]) }
  end
  return rates
end
local function unused_from(lane)
  local moment = tonumber(sure('GET', prefix .. 'rate:' .. lane) or '') or 0
  return moment == moment and math.max(moment, now) or now -- "nan" is a number, too
end
local function next_start(lane, rate)
  return unused_from(lane) - (rate.burst - 1) * rate.interval
end
local function allowance(lane, rate, wanted)
  if not rate then return wanted end
  local used = (unused_from(lane) - now) / rate.interval
  return math.max(0, math.min(wanted, math.floor(rate.burst - used + 1e-6)))
end
local function spend(lane, rate, starts)
  if not rate or starts == 0 then return end
  local moment = unused_from(lane) + starts * rate.interval
  local life = math.ceil((moment - now) * 1000) + 1000
  redis.call('SET', prefix .. 'rate:' .. lane, at(moment), 'PX', string.format('%.0f', life))
end
