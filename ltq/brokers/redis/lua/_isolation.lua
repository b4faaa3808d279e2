-- isolation_of(deaths, max_deliveries): how many tasks, itself among them, may run beside a task that
-- workers died under; nil: any number. `ltq/broker/isolation.py` has the rule and its reasons.
-- fits(claim, isolation): whether a claim may give a task that needs such isolation; then what else it may
-- give shrinks accordingly. `claim` is what `new_claim` made.
-- @constant DEFAULT_MAX_DELIVERIES, ISOLATION_BASE, MAX_ISOLATION_STEPS
local function isolation_of(deaths, max_deliveries)
  deaths = tonumber(deaths) or 0
  if not (deaths > 0) then return nil end
  local left = (tonumber(max_deliveries) or DEFAULT_MAX_DELIVERIES) - 1 - deaths
  return math.floor(ISOLATION_BASE ^ math.min(MAX_ISOLATION_STEPS, math.max(0, left)))
end
local function fits(claim, isolation)
  if claim.ignore_isolation then -- the task was waited for in vain: take one as it is
    claim.running, claim.ignore_isolation = 0, false
    return true
  end
  if claim.running + #claim.tasks >= isolation then
    claim.isolation = math.min(claim.isolation or isolation, isolation)
    return false
  end
  claim.limit = math.min(claim.limit, isolation - claim.running)
  return true
end
