--[[
claim: lease tasks that are ready.

Strictly by priority, first in first out within a lane; between lanes of one level the one served
longest ago goes first. Answers a repeated call (same claim id) with the same tasks.

KEYS[1] prefix    of all keys of the namespace, "ltq:{namespace}:"
ARGV[1] claim_id  text
ARGV[2] consumer  name of who claims
ARGV[3] lease     seconds
ARGV[4] limit     int, most tasks to lease; 0 only wakes other consumers
ARGV[5] lanes     served lanes, each between line feeds
ARGV[6] woken     lanes whose wake-up this consumer took, each between line feeds
ARGV[7] swept     '1' if what is due was moved just now, else ''
ARGV    then for each rate limited lane: lane, seconds between starts, burst

RETURNS {due_in, lost, tasks, now, start_in}: seconds until there may be more without a wake-up,
        or ''; ids that had no usable hash; for each task {id, token, fields and values of its hash
        as it was before}; the time; seconds until a rate limit lets a ready task start, or ''
]]
local prefix = KEYS[1]
local claim_id, consumer, lease, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lanes, woken, swept = ARGV[5], ARGV[6], ARGV[7]
-- @include time
-- @include rate
-- @include bury
-- @include lease

local rates = read_rates(8, #ARGV)
local due_in, start_in
local function due(moment)
  if not due_in or moment - now < due_in then due_in = moment - now end
end

for _, index in ipairs({ 'due', 'expiry' }) do
  local head = redis.call('ZRANGE', prefix .. index, 0, 0, 'WITHSCORES')
  if head[2] then due(tonumber(head[2])) end
end
local again = redis.call('GET', prefix .. 'claim:' .. consumer)
if again and string.match(again, '^[^\n]*') == claim_id then return repeated(again) end

-- What is due may go before what is ready: let it be moved first.
if swept == '' and due_in and due_in <= 0 then return { '0', 0, {}, stamp, '' } end

if limit == 0 then
  redis.call('DEL', prefix .. 'none') -- under OOM a script may write if its first write frees
end

local function named(list, lane) return string.find(list, '\n' .. lane .. '\n', 1, true) end
local function serve(member)
  local lane, ready = string.sub(member, 3), prefix .. 'ready:' .. member
  local wanted, before = limit - #tasks, #tasks
  local allowed = allowance(lane, rates[lane], wanted)
  local ids = allowed > 0 and redis.call('LPOP', ready, allowed) or {}
  for _, id in ipairs(ids) do take(id, lane) end
  spend(lane, rates[lane], #tasks - before)
  if redis.call('LLEN', ready) == 0 then
    redis.call('ZREM', prefix .. 'active', member)
    return
  end
  if #ids > 0 then
    local rank = tonumber(string.sub(member, 1, 1)) * 1e10 + now
    redis.call('ZADD', prefix .. 'active', 'XX', at(rank), member)
  end
  if allowed < wanted then
    local start = next_start(lane, rates[lane])
    due(start)
    if not start_in or start - now < start_in then start_in = start - now end
  elseif limit == 0 or named(woken, lane) then
    redis.call('ZADD', prefix .. 'wake:' .. lane, 0, '1') -- pass the wake-up on
  end
end

for _, member in ipairs(redis.call('ZRANGE', prefix .. 'active', 0, -1)) do
  local lane = string.sub(member, 3)
  local wanted = #tasks < limit or limit == 0 or named(woken, lane)
  if wanted and named(lanes, lane) then serve(member) end
end
record()
return { due_in and at(due_in) or '', lost, tasks, stamp, start_in and at(start_in) or '' }
