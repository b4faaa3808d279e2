-- serve_lanes(claim, lanes, woken, late): lease what the ready lists of a namespace may give now, by the
-- order of their index. It reads as much of the index as the claim has room for, and no more: mostly the
-- first lists have all that is wanted. `woken` are lanes for which the claim took a wake-up that it may have
-- to pass on. `late` is the id of a claim that may be carried out after its consumer has given it up, else
-- false. Returns when a limit lets a lane start that it held back, or nil. `claim` is that of `claim.lua`.
-- @include call_or_reset, names, paused, repeat_claim, serve_lane
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY
-- What to look at after the lists that were `seen`: while there is room, the first `many` of the index, which
-- begin with these (one that was served has a place further back now, or none); else those of woken lanes.
-- @rare
local function more_lists(claim, woken, seen, many)
  if claim.limit == 0 or #claim.ids < claim.limit then
    return call_or_reset('ZRANGE', prefix .. 'active', 0, many - 1)
  end
  local lists = {}
  for _, lane in ipairs(names_in(woken)) do
    for priority = HIGHEST_PRIORITY, LOWEST_PRIORITY do
      local member = priority .. ':' .. lane
      local is_left = not seen[member] and call_or_reset('ZSCORE', prefix .. 'active', member)
      if is_left then lists[#lists + 1] = member end
    end
  end
  return lists
end
local function serve_lanes(claim, lanes, woken, late)
  local active, many, first, paused = call_or_reset('ZRANGE', prefix .. 'active', '0', '15'), 16
  if late and active[1] then
    claim.over = repeat_claim(claim, late, 0, woken, true)
    if claim.over then return end
  end
  local seen = #active == many and {}
  if active[1] and redis.call('EXISTS', prefix .. 'paused') == 1 then paused = read_paused() end
  while active[1] do
    for _, member in ipairs(active) do
      local lane = string.sub(member, 3)
      local passes_on = late or claim.limit == 0 or woken ~= '' and has(woken, lane)
      local is_wanted = passes_on or #claim.ids < claim.limit
      if seen then is_wanted, seen[member] = is_wanted and not seen[member], true end
      if is_wanted and paused then is_wanted = not is_paused(paused, lane) end
      if is_wanted and not has(lanes, lane) then is_wanted = serves_too(lanes, claim.knows, lane) end
      local start = is_wanted and serve_lane(claim, member, claim.limits[lane], passes_on)
      if start then first = first and math.min(first, start) or start end
    end
    if #active < many then break end
    if late and #claim.ids >= claim.limit then claim.is_left = true end -- perhaps
    many = many * 4
    active = more_lists(claim, woken, seen, many)
  end
  return first
end
