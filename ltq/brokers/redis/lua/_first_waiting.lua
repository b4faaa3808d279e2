-- first_waiting(member, from_end): the id of the first (last) task that waits in the ready list `member`; nil
-- if there is none among its first (last) 2000 entries.
-- @include call_or_reset, skipped
local LOOKED_AT, AT_ONCE = 2000, 100
local function first_waiting(member, from_end)
  local ready, skipped, left = prefix .. 'ready:' .. member, prefix .. 'skipped:' .. member, {}
  local head = call_or_reset('LINDEX', ready, from_end and -1 or 0)
  if not head or count_skipped(member) == 0 then return head or nil end
  for first = 0, LOOKED_AT - 1, AT_ONCE do
    local last, ids = first + AT_ONCE - 1, nil
    if from_end then
      ids = call_or_reset('LRANGE', ready, -last - 1, -first - 1)
    else
      ids = call_or_reset('LRANGE', ready, first, last)
    end
    if #ids == 0 then return end
    local counts = call_or_reset('HMGET', skipped, unpack(ids))
    for k = 1, #ids do
      local i = from_end and #ids + 1 - k or k
      local id = ids[i]
      left[id] = left[id] or tonumber(counts[i] or '') or 0
      if left[id] == 0 then return id end
      left[id] = left[id] - 1
    end
  end
end
