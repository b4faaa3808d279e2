-- read_record(schedule): {name, spec, last, put, plan, body, paused, resumed, fired}, or nil if it is
--   unknown.
-- size_of(record): its bytes, roughly.
-- @constant TASK_BYTES
local function read_record(schedule)
  local record = redis.pcall('HMGET', prefix .. 'slot:' .. schedule, 'spec', 'last', 'put', 'plan',
    'body', 'paused', 'resumed', 'fired')
  if record.err or not record[2] then return nil end
  table.insert(record, 1, schedule)
  return record
end
local function size_of(record)
  return TASK_BYTES + #(record[5] or '') + #(record[6] or '')
end
