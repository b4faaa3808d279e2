-- Which runs of schedulers hold a schedule: "<run> <since> <run> <since>", with the times of declaration.
-- hear(run, leaves): this run was heard of now. With `leaves` it ends.
-- newest_live(holders): the latest `since` of the runs that were heard of lately; -1 if there is none.
-- joined(holders, run, since): the holders with one more, without the silent ones; the same if it is one.
-- declared_now(holders): now, as text, or just after the latest `since`.
-- handover(kept, declares): after which moment another spec goes on: until then the slots were those of this
--   one. With `declares` it is declared now.
-- @include time, call_or_reset
-- @constant SCHEDULER_SILENT, SCHEDULER_TTL, SLOT_HANDOVER
local heard = {}
local function hear(run, leaves)
  if run == '' or heard[run] then return end
  call_or_reset('SET', prefix .. 'scheduler:' .. run, (leaves and '-' or '') .. stamp, 'EX', SCHEDULER_TTL)
  heard[run] = leaves and -now or now
end
-- When a run was last heard of: negative if it said that it ends; nil if that is not known.
local function last_heard(run)
  if heard[run] == nil then
    heard[run] = tonumber(call_or_reset('GET', prefix .. 'scheduler:' .. run) or '') or false
  end
  return heard[run] or nil
end
local function is_live(run)
  local time = last_heard(run)
  return time and time > 0 and math.abs(now - time) < SCHEDULER_SILENT
end
local function newest_live(holders)
  local newest = -1
  for run, since in string.gmatch(holders, '(%S+) (%d+%.?%d*)') do
    if is_live(run) then newest = math.max(newest, tonumber(since)) end
  end
  return newest
end
local function joined(holders, run, since)
  if run == '' or string.find(holders, run .. ' ', 1, true) then return holders end
  local live = {}
  for other, other_since in string.gmatch(holders, '(%S+) (%d+%.?%d*)') do
    if is_live(other) then live[#live + 1] = other .. ' ' .. other_since end
  end
  live[#live + 1] = run .. ' ' .. since
  return table.concat(live, ' ')
end
local function declared_now(holders)
  local since = now
  for _, other in string.gmatch(holders, '(%S+) (%d+%.?%d*)') do
    since = math.max(since, tonumber(other) + 0.000001)
  end
  return at(since)
end
local function handover(kept, declares)
  if declares then
    local last = math.max(math.floor(now) - SLOT_HANDOVER, kept.last)
    return math.max(last, math.min(math.floor(now), kept.due - 1))
  end
  local latest = now - SCHEDULER_TTL -- it is not known when one was heard of before that
  for run in string.gmatch(kept.holders, '(%S+) %d+%.?%d*') do
    latest = math.max(latest, math.abs(last_heard(run) or 0))
  end
  if newest_live(kept.holders) >= 0 then latest = now end
  return math.max(kept.last, math.min(math.floor(math.min(now, latest)), kept.due - 1))
end
