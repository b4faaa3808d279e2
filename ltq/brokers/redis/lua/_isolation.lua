-- isolation_of(claim, deaths, max_deliveries, task): how many tasks may run beside a task that workers died
-- under, with itself; nil means no limit, also for what the consumer will reject. `task` is the task's name.
-- `ltq/broker/isolation.py` has the rule and its reasons.
-- fits(claim, isolation): whether a claim may give a task that needs this isolation. If so, the limit of the
-- claim is lowered accordingly. `claim` is that of `claim.lua`.
-- @constant DEFAULT_MAX_DELIVERIES, ISOLATION_BASE, MAX_ISOLATION_STEPS
-- How many deaths the consumer lets a task have that does not say so itself.
local function most_deaths(patience, task)
  local _, last = string.find(patience, '\n' .. (task or '') .. ' ', 1, true)
  return last and tonumber(string.match(patience, '^%d+', last + 1)) or DEFAULT_MAX_DELIVERIES
end
-- @rare
local function isolation_of(claim, deaths, max_deliveries, task)
  deaths = tonumber(deaths) or 0
  if not (deaths > 0) then return nil end
  local most = tonumber(max_deliveries)
  if not most then
    most = most_deaths(claim.patience, task)
    if claim.patience ~= '' and deaths >= most then return nil end
  end
  local left = most - 1 - deaths
  return math.floor(ISOLATION_BASE ^ math.min(MAX_ISOLATION_STEPS, math.max(0, left)))
end
-- @rare
local function fits(claim, isolation)
  if claim.ignore_isolation then -- one such task is given in any case
    claim.running, claim.ignore_isolation = 0, false
    return true
  end
  if claim.running + #claim.ids >= isolation then
    claim.isolation = math.min(claim.isolation or isolation, isolation)
    return false
  end
  claim.limit = math.min(claim.limit, isolation - claim.running)
  return true
end
