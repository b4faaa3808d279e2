-- lane_for(claim, lane, queue, hash): the lane to which a claim moves a task of a lane; false if it gives the
-- task. `lane_for` in `ltq/broker/consumer_config.py` has the rule, `kind_of` in `ltq/message.py` the kind.
-- change_lane(claim, id, lane, hash): let a task, whose id was taken from its list, wait in another lane.
-- flush_strangers(claim): write the moved tasks. Returns their lanes. `claim` is that of `claim.lua`.
-- @include call_or_reset, enqueue_ready, names, priorities, queue_lanes, wake
-- @constant MAX_LANES
local COSTLY = 10000 -- bytes of a body that count as one more task, because they are copied
-- @rare
local function is_name(text) return #text <= 200 and string.match(text, '^[%w_.:-]+$') end
-- @rare
local function kind_of(hash)
  local serializer = hash.serializer
  local is_read_by_all = not serializer or serializer == 'json' or serializer == 'msgpack'
  if is_read_by_all or not is_name(serializer) then return hash.task end
  return hash.task .. '/' .. serializer
end
-- @rare
local function make_room(own, queue, name)
  if not is_name(name) then return false end
  local lanes = prefix .. 'queue_lanes:' .. queue
  local has_room = call_or_reset('ZCARD', lanes) < MAX_LANES
  if not has_room and not call_or_reset('ZSCORE', lanes, own) then return false end
  keep_lane(own) -- now, so that the next name is not one too many
  return own
end
-- @rare
local function find_lane(claim, lane, queue, name, kind)
  local own = queue .. '/' .. kind
  if has(claim.knows, kind) and (claim.limits[lane] or not claim.limits[own]) then return false end
  if own == lane then return false end
  return make_room(own, queue, name)
end
-- @rare
local function lane_for(claim, lane, queue, hash)
  if claim.knows == '' then return false end
  claim.lanes_for = claim.lanes_for or {}
  local found, kind = claim.lanes_for[lane] or {}, kind_of(hash)
  claim.lanes_for[lane] = found
  if found[kind] == nil then found[kind] = find_lane(claim, lane, queue, hash.task, kind) end
  return found[kind]
end
-- @rare
local function change_lane(claim, id, lane, hash)
  local member = priority_of(hash.priority) .. ':' .. lane
  claim.moved = claim.moved or {}
  local ids = claim.moved[member] or {}
  claim.moved[member] = ids
  ids[#ids + 1] = id
  redis.call('HSET', prefix .. 'task:' .. id, 'lane', lane)
  claim.void = claim.void + 1 + math.floor((#(hash.body or '') + #(hash.ctx or '')) / COSTLY)
end
-- @rare
local function flush_strangers(claim)
  local lanes = {}
  for member, ids in pairs(claim.moved) do
    local lane = string.sub(member, 3)
    enqueue_ready(lane, string.sub(member, 1, 1), unpack(ids))
    local queue, name = string.match(lane, '^([^/]*)/([^/]*)')
    if queue == name then wake(queue) end -- who knows the task may wait for its own queue only
    lanes[#lanes + 1] = lane
  end
  return lanes
end
