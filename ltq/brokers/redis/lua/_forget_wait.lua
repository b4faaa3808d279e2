-- forget_wait(queue, sent, back, claimed): a claim at that time was counted in the history, but is to be as
-- if it had not been. The other arguments are those of `note_wait`.
-- @include history, waits_since
local function forget_wait(queue, sent, back, claimed)
  local duration, bucket = measured(1e6 * (claimed - waits_since(sent, back)))
  local key = figures_at(claimed, queue)
  if redis.call('EXISTS', key) == 0 then return end
  add_figure(key, 'w' .. bucket, -1)
  add_figure(key, 'ws', -duration)
end
