-- arrive_early(group, answers): put the results of a group of outcomes in the slots of the task that its
-- field `waiter` names, as far as that waits for others even then: these are answered 'arrived', and leave
-- no ending. Returns whether there are any. `ltq/brokers/_rules/outcomes/early.py` says the same. Call it
-- before `finalize`.
-- @include held, ending, outcomes
-- @constant ELEMENT
-- @rare
local function read_early(slots, group, slot)
  local names = {}
  for i, k in ipairs(group.accepted) do
    names[i] = slot == ELEMENT and (string.match(ARGV[k], '%.(%d+)$') or '') or slot
  end
  return names, redis.pcall('HMGET', slots, 'of', 'values', 'failed', unpack(names))
end
-- @rare
local function arrive_early(group, answers)
  local waiter
  for i = 1, #group.fields, 2 do if group.fields[i] == 'waiter' then waiter = group.fields[i + 1] end end
  local slot, of, id = string.match(waiter, '^(%S+) (%d+) (.*)$')
  local hash, slots = redis.pcall('HMGET', prefix .. 'task:' .. id, 'status', 'queue', 'task'),
    prefix .. 'slots:' .. id
  if hash.err or not hash[3] or not waits_for_others(id, hash[2] or hash[3], hash[1]) then return end
  local names, found = read_early(slots, group, slot)
  if found.err then return end
  local values, seen, changes = tonumber(found[2] or 0), {}, {}
  early = early or {}
  for i, k in ipairs(group.accepted) do
    local name = names[i]
    if values + 1 < tonumber(of) and not found[i + 3] and not seen[name] and name ~= '' then
      values, seen[name], early[ARGV[k]] = values + 1, true, true
      answers[position_of(k, group)] = 'arrived'
      changes[#changes + 1], changes[#changes + 2] = name, '=' .. ARGV[k + 2]
    end
  end
  if #changes == 0 then return end
  redis.call('HSET', slots, 'of', of, 'values', values, 'failed', found[3] or '0', unpack(changes))
  return true
end
