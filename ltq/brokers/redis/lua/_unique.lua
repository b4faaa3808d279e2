-- keep_unique(fingerprint, ends, id): of a task that was taken over, let others with its fingerprint be
-- duplicates until it ends (Unix seconds), unless another one was the first here.
-- @include time
local function keep_unique(fingerprint, ends, id)
  local left = math.ceil((tonumber(ends) - now) * 1000)
  if fingerprint == '' or left < 1 then return end
  redis.call('SET', prefix .. 'unique:' .. fingerprint, id, 'PX', string.format('%.0f', left), 'NX')
end
