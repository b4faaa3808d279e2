--[[
claim: lease tasks that are ready.

Strictly by priority, first in first out within a lane; between lanes of one level the one served
longest ago goes first. A repeated call (same claim id) is answered with the same tasks.

KEYS[1] prefix     of all keys of the namespace, "ltq:{namespace}:"
ARGV[1]  again     '1' if a call with this claim id may have been carried out before, else ''
ARGV[2]  claim_id  text
ARGV[3]  consumer  name of who claims
ARGV[4]  lease     seconds
ARGV[5]  limit     int, most tasks to lease; 0 only wakes other consumers
ARGV[6]  running   int, tasks the consumer works on already
ARGV[7]  ignore_isolation  '1' to lease one task that needs isolation all the same, else ''
ARGV[8]  grace     seconds that leases last beyond their end as far as this consumer goes
ARGV[9]  hold      seconds from now in which it takes none back at all
ARGV[10] lanes     served lanes, each between line feeds
ARGV[11] woken     lanes whose wake-up this consumer took, each between line feeds
ARGV[12] swept     '1' if what is due was moved just now, else ''
ARGV[13] most      int, deaths that bury a task which names no limit of its own
ARGV     for each limited lane: lane, seconds between starts, burst, most running ('' for none)

RETURNS {due_in, lost, tasks, now, start_in, isolation}: seconds until there may be more without a
        wake-up, or ''; ids that had no usable hash; for each task {id, token, fields and values of
        its hash as it was before}; the time; seconds until a rate limit lets a ready task start,
        or ''; how many may run beside a ready task that was left, itself among them, or ''
]]
local prefix = KEYS[1]
local again, claim_id, consumer, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local limit, running, ignore_isolation = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local grace, hold, lanes = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local woken, swept, most = ARGV[11], ARGV[12], tonumber(ARGV[13])
-- @include time
-- @include call_or_reset
-- @include lease_end
-- @include bury
-- @include lease
-- @include claim_record
-- @include limits
local limits = read_limits(14, #ARGV)
-- @include serve_lane

local function first(index) return call_or_reset('ZRANGE', prefix .. index, 0, 0, 'WITHSCORES')[2] end
local delayed, leased = first('due'), first('expiry')
if delayed then due(tonumber(delayed)) end
if leased then due(math.max(tonumber(leased) / 1000 + grace, now + hold)) end
local before = again == '1' and call_or_reset('GET', prefix .. 'claim:' .. consumer)
if before and string.match(before, '^[^\n]*') == claim_id then return repeated(before) end

-- What is due may go before what is ready: let it be moved first.
if swept == '' and due_in and due_in <= 0 then return { '0', 0, {}, stamp, '', '' } end

if limit == 0 then
  redis.call('DEL', prefix .. 'none') -- under OOM a script may write if its first write frees
end

for _, member in ipairs(call_or_reset('ZRANGE', prefix .. 'active', 0, -1)) do
  local lane = string.sub(member, 3)
  local wanted = #tasks < limit or limit == 0 or named(woken, lane)
  if wanted and named(lanes, lane) then serve(member) end
end
record()
if full or void > 0 then due(now) end
return { due_in and at(due_in) or '', lost, tasks, stamp, start_in and at(start_in) or '',
  isolation and string.format('%.0f', isolation) or '' }
