-- tell(groups, database): let who watches a task that has completed know its state, on the channel of its
-- key's notifications, after all is written. The text is the size of the result, a line feed, the fields and
-- values of the hash but for arguments and result, each with a line feed, and the result. Who does not
-- understand it reads the task: so nothing is told that may need more than the hash.
-- @rare
local function tell(groups, database)
  for _, group in ipairs(groups) do
    for _, k in ipairs(group.accepted) do
      local key, told = prefix .. 'task:' .. ARGV[k], { #ARGV[k + 2] }
      local fields = redis.call('HGETALL', key)
      for i = 1, #fields, 2 do
        local name = fields[i]
        if name ~= 'result' and name ~= 'body' and name ~= 'ctx' then
          told[#told + 1], told[#told + 2] = name, fields[i + 1]
        end
      end
      told[#told + 1] = ARGV[k + 2]
      -- The user may have no right to the channel.
      redis.pcall('PUBLISH', '__keyspace@' .. database .. '__:' .. key, table.concat(told, '\n'))
    end
  end
end
