-- free_first(): delete a key that never exists. A server that is out of memory lets a script write only if
-- the script's first write is one that frees memory.
-- @rare
local function free_first()
  redis.call('DEL', prefix .. 'none')
end
