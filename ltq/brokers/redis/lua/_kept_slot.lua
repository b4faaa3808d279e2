-- read_slot(schedule): what is kept of a schedule: {key, spec, last, due, holders, put, paused, resumed}.
--   `last` is nil if it is new, `put` is '' if it is declared in code.
-- keep_slot(kept): keep it: as long as it is put or paused, else until it is long overdue. One that was
--   paused for long is kept as long from its resumption on. A slot that enqueued a task is `fired`.
-- @include time, call_or_reset
-- @constant SLOT_AHEAD, SLOT_TTL
local function read_slot(schedule)
  local key = prefix .. 'slot:' .. schedule
  local found = call_or_reset('HMGET', key, 'spec', 'last', 'due', 'holders', 'put', 'paused', 'resumed')
  local kept = { key = key, spec = found[1], last = tonumber(found[2] or ''), put = found[5] or '',
    due = tonumber(found[3] or '') or 0, holders = found[4] or '', paused = found[6] == '1',
    resumed = tonumber(found[7] or '') or 0 }
  kept.stays = kept.put ~= '' or kept.paused
  if kept.last and kept.last > now + SLOT_AHEAD then -- kept by a clock that was wrong
    kept.last, kept.holders = kept.stays and math.floor(now) or nil, ''
  end
  return kept
end
local function keep_slot(kept)
  local fields = { 'spec', kept.spec, 'last', kept.last, 'due', kept.due, 'holders', kept.holders }
  if kept.fired then fields[9], fields[10] = 'fired', kept.fired end
  call_or_reset('HSET', kept.key, unpack(fields))
  if not kept.stays then
    local since = math.max(tonumber(kept.due), kept.resumed)
    redis.call('EXPIREAT', kept.key, string.format('%.0f', since + SLOT_TTL))
  end
end
