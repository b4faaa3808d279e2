-- next_token(count): the token of a task that has none, after `count` others of its claim. It is the time of
-- the claim in microseconds, and grows with the count.
-- later_token(count, last): the same for a task that has a token, which is an earlier one.
-- @include time
local MAX_TOKEN = 9e15 -- above it, a double cannot hold every whole number
local first_token = time[1] .. string.sub(stamp, -6)
-- The first digits, the last two at `token_from`, and how many were claimed then. To format each whole number
-- would cost five times as much.
local token_head, token_tail, token_from = string.sub(first_token, 1, -3), string.sub(first_token, -2) + 0, 0
local function next_token(count)
  local tail = token_tail + count - token_from
  if tail > 99 then
    local text = string.format('%.0f', first_token + count)
    token_head, token_tail, token_from = string.sub(text, 1, -3), string.sub(text, -2) + 0, count
    tail = token_tail
  end
  local ones = tail % 10
  return token_head .. string.char(48 + (tail - ones) / 10, 48 + ones) -- a fraction might be rounded
end
-- @rare
local function later_token(count, last)
  local number = first_token + count
  last = tonumber(last)
  if last and last >= number and last < MAX_TOKEN then number = last + 1 end
  return string.format('%.0f', number)
end
