-- has(names, name): whether a name is among these, each of which stands between line feeds.
-- serves_too(lanes, knows, lane): whether a consumer that serves these lanes, and knows tasks of these names
-- ('' for all), claims from one that is not among these. `serves` in `ltq/broker/consumer_config.py` has
-- the rule.
-- knows_task(knows, name): whether the script's consumer knows tasks of this name. It may know very many, so
-- each name is looked for once.
-- names_in(text): the names that stand between line feeds, as a list.
-- @rare
local function names_in(text)
  local names = {}
  for name in string.gmatch(text, '\n([^\n]+)') do names[#names + 1] = name end
  return names
end
local function has(names, name) return string.find(names, '\n' .. name .. '\n', 1, true) end
-- @rare
local function serves_too(lanes, knows, lane)
  local queue, kind = string.match(lane, '^([^/]*)/(.*)$')
  return knows ~= '' and queue and has(lanes, queue) and has(knows, kind)
end
local names_known = {}
local function knows_task(knows, name)
  if names_known[name] == nil then names_known[name] = knows == '' or has(knows, name) or false end
  return names_known[name]
end
