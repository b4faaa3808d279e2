-- serve(member): lease what a ready list may give now. due(moment): there may be more then.
local due_in, start_in
local function due(moment)
  if not due_in or moment - now < due_in then due_in = moment - now end
end
local function named(list, lane) return string.find(list, '\n' .. lane .. '\n', 1, true) end
local function serve(member)
  local lane, ready = string.sub(member, 3), prefix .. 'ready:' .. member
  local wanted, before = limit - #tasks, #tasks
  local allowed = allowance(lane, limits[lane], wanted)
  local complete = allowed <= 0 or take_from(ready, lane, allowed)
  spend(lane, limits[lane], before)
  if call_or_reset('LLEN', ready) == 0 then
    call_or_reset('ZREM', prefix .. 'active', member)
    return
  end
  if #tasks > before then
    local rank = tonumber(string.sub(member, 1, 1)) * 1e10 + now
    call_or_reset('ZADD', prefix .. 'active', 'XX', at(rank), member)
  end
  if complete and allowed < wanted then
    local start = next_start(lane, limits[lane])
    due(start)
    if not start_in or start - now < start_in then start_in = start - now end
  elseif limit == 0 or named(woken, lane) then
    call_or_reset('ZADD', prefix .. 'wake:' .. lane, 0, '1') -- pass the wake-up on
  end
end
