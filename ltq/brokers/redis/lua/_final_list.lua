-- add_final(queue, id, ttl): remember a task that is final now. Its state is kept for `ttl` milliseconds, as
-- text; nil if it is not kept.
-- finals_of(queue, ttl): the list for those of a queue that are kept so long, each as `since` and its id.
-- since: what is before an id in such a list.
-- flush_final(): add these to the lists of their queues, the newest last. Call it once, at the end.
-- @include time, call_or_reset
-- @constant MAX_FINAL
local finals, since = {}, stamp .. ' '
local function finals_of(queue, ttl)
  local entries = finals[queue] or { life = 0 }
  if ttl ~= entries.ttl then -- in a group all have the same
    finals[queue], entries.ttl, entries.life = entries, ttl, math.max(entries.life, tonumber(ttl))
  end
  return entries
end
local function add_final(queue, id, ttl)
  if not ttl then return end
  local entries = finals_of(queue, ttl)
  entries[#entries + 1] = since .. id
end
local function flush_final()
  for queue, entries in pairs(finals) do
    local list = prefix .. 'final:' .. queue
    local length = call_or_reset('RPUSH', list, unpack(entries))
    if length > MAX_FINAL then redis.call('LTRIM', list, -MAX_FINAL, -1) end -- `LPOP` would return them
    if redis.call('PTTL', list) < entries.life then -- a little longer, so that it is seldom said anew
      redis.call('PEXPIRE', list, string.format('%.0f', entries.life + 60000))
    end
  end
end
