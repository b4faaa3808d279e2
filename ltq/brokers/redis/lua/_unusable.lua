-- unusable(claim, id, lane, why): a claim met a task whose hash cannot be used: remove it. A dead letter says
-- why. `claim` is that of `claim.lua`. Returns 'void'.
-- @include bury_unusable
-- @rare
local function unusable(claim, id, lane, why)
  claim.lost, claim.void = claim.lost + 1, claim.void + 1
  bury_unusable(id, string.match(lane, '^[^/]*'), why, claim.history)
  return 'void'
end
