-- waits_since(enqueue_time, last_requeue_time): since when a pending task has been waiting.
local function waits_since(enqueue_time, last_requeue_time)
  return math.max(tonumber(enqueue_time) or 0, tonumber(last_requeue_time) or 0)
end
