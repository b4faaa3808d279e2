-- read_outcomes(first, before): the group of outcomes that begins at ARGV[first], behind so many (`finish`
-- describes it), with the fields:
--   queue, status, seconds                  as text
--   flags                                   a table with its flags as keys
--   puts_back                               whether the status lets the tasks run again
--   fields                                  names and values to set
--   first_id, last_result                   positions in ARGV of the ids, each followed by token and result
--   count, before                           how many outcomes it has, and how many came before it
--   accepted                                positions of the ids whose outcomes are recorded; empty at first
--   plain                                   for each of these a key or false, see `accept`; empty at first
-- position_of(k, group): which outcome of all has its id at ARGV[k].
-- without(name, fields): the same names and values, but for one name.
-- @rare
local function without(name, fields)
  local rest = {}
  for i = 1, #fields, 2 do
    if fields[i] ~= name then rest[#rest + 1], rest[#rest + 2] = fields[i], fields[i + 1] end
  end
  return rest
end
-- @rare
local function read_flags(words)
  local flags = {}
  for flag in string.gmatch(words, '%a+') do flags[flag] = true end
  return flags
end
-- @rare
local function position_of(k, group) return group.before + (k - group.first_id) / 3 + 1 end
local function read_outcomes(first, before)
  local words, first_id = ARGV[first + 3], first + 6 + ARGV[first + 5]
  local flags = { result = words == 'result' } -- most have no other
  if words ~= 'result' then flags = read_flags(words) end
  local status, count = ARGV[first + 1], tonumber(ARGV[first + 4])
  return { queue = ARGV[first], status = status, seconds = ARGV[first + 2], flags = flags,
    puts_back = status == 'pending' or status == 'delayed',
    fields = { unpack(ARGV, first + 6, first_id - 1) },
    first_id = first_id, last_result = first_id - 1 + 3 * count, count = count, before = before,
    accepted = {}, plain = {} }
end
