-- read_outcomes(first): the group of outcomes that begins at ARGV[first] (`finish` describes it), with the
-- fields:
--   queue, status, seconds                  as text
--   is_dead, has_result, failed, front, is_poison, is_void, keeps_error   its flags
--   fields                                  names and values to set
--   first_id, last_result                   positions in ARGV of the ids, each followed by token and result
--   accepted                                positions of the ids whose outcomes are recorded; empty at first
-- without(name, fields): the same names and values, but for one name.
local function without(name, fields)
  local rest = {}
  for i = 1, #fields, 2 do
    if fields[i] ~= name then rest[#rest + 1], rest[#rest + 2] = fields[i], fields[i + 1] end
  end
  return rest
end
local function has_word(words, word) return string.find(words, word, 1, true) ~= nil end
local function read_outcomes(first)
  local flags, first_id = ARGV[first + 3], first + 6 + tonumber(ARGV[first + 5])
  return { queue = ARGV[first], status = ARGV[first + 1], seconds = ARGV[first + 2],
    is_dead = has_word(flags, 'dead'), has_result = has_word(flags, 'result'),
    failed = has_word(flags, 'failed'), front = has_word(flags, 'front'),
    is_poison = has_word(flags, 'poison'), is_void = has_word(flags, 'void'),
    keeps_error = has_word(flags, 'keep'),
    fields = { unpack(ARGV, first + 6, first_id - 1) },
    first_id = first_id, last_result = first_id - 1 + 3 * tonumber(ARGV[first + 4]), accepted = {} }
end
