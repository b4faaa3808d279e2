-- drop_void(member): whether the ready list `member` is empty, or was deleted here because all its entries
-- were skipped.
-- @include call_or_reset, skipped
-- Whether some entries, all over the list, are skipped. If not, `skipped` is of a list that was lost.
local function is_plausible(member, entries)
  for i = 0, 8 do
    local id = call_or_reset('LINDEX', prefix .. 'ready:' .. member, math.floor((entries - 1) * i / 8))
    if not call_or_reset('HGET', prefix .. 'skipped:' .. member, id) then return false end
  end
  return true
end
-- @rare
local function drop_void(member)
  local entries, skipped = call_or_reset('LLEN', prefix .. 'ready:' .. member), count_skipped(member)
  if skipped == 0 or skipped < entries then return entries == 0 end
  local void = entries == 0 or skipped == entries and is_plausible(member, entries)
  unlink(prefix .. 'skipped:' .. member)
  if void then unlink(prefix .. 'ready:' .. member) end
  return void
end
