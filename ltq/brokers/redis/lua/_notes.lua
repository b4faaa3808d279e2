-- read_notes(words): what a call notes beside its changes: whether it counts in the history ('history'), and
-- whether it lists the tasks that end with the final ones ('listed').
-- @constant ALL_NOTES
local function read_notes(words)
  if words == ALL_NOTES then return true, true end
  return string.find(words, 'history', 1, true), string.find(words, 'listed', 1, true)
end
