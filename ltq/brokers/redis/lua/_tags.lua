-- has_tag(tags, tag): whether a tag is among those of a task, as its hash has them; it may have none.
local function has_tag(tags, tag)
  return tags and string.find(' ' .. tags .. ' ', ' ' .. tag .. ' ', 1, true)
end
