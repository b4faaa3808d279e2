-- priority_of(text): a priority as a hash has it, as text; the default one if it is missing or wrong.
-- @constant HIGHEST_PRIORITY, LOWEST_PRIORITY, DEFAULT_PRIORITY
local function priority_of(text)
  local number = text and #text == 1 and tonumber(text)
  return number and number >= HIGHEST_PRIORITY and number <= LOWEST_PRIORITY and text or DEFAULT_PRIORITY
end
