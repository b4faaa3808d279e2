-- arrive_early(group, answers, simple): put the results of a group of outcomes in the slots of the
-- task that its field `waiter` names, as far as that waits for others even then: these are answered
-- 'arrived', and leave no ending. Those of them that are `simple` are `plain` then, see `end_tasks`. Returns
-- how many there are. `ltq/brokers/_rules/outcomes/early.py` says the same. Call it before `finalize`.
-- @include held, ending
-- @constant ELEMENT
-- What is known of the slots of a task, and those for the outcomes of a group; nothing if it does not wait.
-- @rare
local function read_early(group, slot, id)
  local hash = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'queue', 'task')
  local names, first = {}, #id + 2
  if hash.err or not hash[3] or not waits_for_others(id, hash[2] or hash[3], hash[1]) then return end
  for i, k in ipairs(group.accepted) do
    if slot == ELEMENT then names[i] = string.sub(ARGV[k], first) elseif i == 1 then names[i] = slot end
  end
  local found = redis.pcall('HMGET', prefix .. 'slots:' .. id, 'values', 'failed', unpack(names))
  if not found.err then return names, found end
end
-- @rare
local function arrive_early(group, answers, simple)
  local waiter, changes, count, before, first_id = nil, {}, 0, group.before + 1, group.first_id
  for i = 1, #group.fields, 2 do if group.fields[i] == 'waiter' then waiter = group.fields[i + 1] end end
  local slot, of, id = string.match(waiter, '^(%S+) (%d+) (.*)$')
  local names, found = read_early(group, slot, id)
  if not names then return 0 end
  local values = tonumber(found[1] or 0)
  local most = of - 1 - values
  for i, name in ipairs(names) do
    local k = group.accepted[i]
    if count < most and not found[i + 2] and tonumber(name) then
      answers[before + (k - first_id) / 3], group.plain[i] = 'arrived', simple[k]
      changes[2 * count + 1], changes[2 * count + 2], count = name, '=' .. ARGV[k + 2], count + 1
      if not simple[k] then
        early = early or {}
        early[ARGV[k]] = true
      end
    end
  end
  if count > 0 then
    redis.call('HSET', prefix .. 'slots:' .. id, 'of', of, 'values', values + count, 'failed',
      found[2] or '0', unpack(changes))
  end
  return count
end
