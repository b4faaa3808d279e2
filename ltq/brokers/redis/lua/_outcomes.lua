-- read_outcomes(first): the group of outcomes that begins at ARGV[first] (`finish` describes it), with the
-- fields:
--   queue, status, seconds                  as text
--   flags                                   a table with its flags as keys
--   puts_back                               whether the status lets the tasks run again
--   fields                                  names and values to set
--   first_id, last_result                   positions in ARGV of the ids, each followed by token and result
--   accepted                                positions of the ids whose outcomes are recorded; empty at first
-- without(name, fields): the same names and values, but for one name.
-- @rare
local function without(name, fields)
  local rest = {}
  for i = 1, #fields, 2 do
    if fields[i] ~= name then rest[#rest + 1], rest[#rest + 2] = fields[i], fields[i + 1] end
  end
  return rest
end
local function read_outcomes(first)
  local flags, first_id = {}, first + 6 + ARGV[first + 5]
  for flag in string.gmatch(ARGV[first + 3], '%a+') do flags[flag] = true end
  local status = ARGV[first + 1]
  return { queue = ARGV[first], status = status, seconds = ARGV[first + 2], flags = flags,
    puts_back = status == 'pending' or status == 'delayed',
    fields = { unpack(ARGV, first + 6, first_id - 1) },
    first_id = first_id, last_result = first_id - 1 + 3 * tonumber(ARGV[first + 4]), accepted = {} }
end
