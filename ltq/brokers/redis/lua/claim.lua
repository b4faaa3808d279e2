--[[
claim: lease tasks that are ready.

By priority, and first in first out within a lane. Of the lanes of one priority, the one served longest ago
comes first. A repeated call (same claim id) gives the same tasks.

KEYS[1]  prefix            of all keys of the namespace, "ltq:{namespace}:"
ARGV[1]  again             '1' if a call with this claim id may have been carried out before; 'late' if it
        waited behind a blocking pop, so that this may be the earlier one; else ''
ARGV[2]  claim_id          text
ARGV[3]  consumer          its name
ARGV[4]  lease             seconds
ARGV[5]  limit             int, most tasks to lease; 0 only wakes other consumers
ARGV[6]  most_bytes        int, of bodies; the reply ends with the task that reaches it
ARGV[7]  known             int, how many tasks of a repeated call have arrived
ARGV[8]  running           int, tasks the consumer works on already
ARGV[9]  ignore_isolation  '1' to lease one task that needs isolation without it, else ''
ARGV[10] grace             seconds after their end for which this consumer lets leases be
ARGV[11] hold              seconds from now for which it takes back no lease at all
ARGV[12] lanes             served lanes, each between line feeds
ARGV[13] knows             names of the tasks it runs, each between line feeds; '' for all
ARGV[14] served            lanes of which it says that it serves them, each between line feeds; or ''
ARGV[15] woken             lanes whose wake-up this consumer took, or may have, each between line feeds
ARGV[16] swept             '1' right after a sweep, else ''
ARGV[17] patience          '' if the consumer itself rejects no task for its deaths; else, between line
        feeds, names of tasks, each with the deaths from which it does
ARGV[18] history           '1' to count how long tasks have waited in the history, else ''
ARGV[19...] limits         for each limited lane: lane, seconds between starts, burst, most running
        ('' if there is no such limit)

RETURNS {answer, lost, claimed, due_in, start_in, isolation, known, moved, tasks...}: 'claimed', 'repeated'
        (the tasks of an earlier call), 'part' (some of them) or 'due' (no tasks yet: sweep first); how many
        ids had no usable hash; when the tasks were claimed; seconds until another claim may give more
        without a wake-up, or nil; seconds until a limit lets a ready task start, or nil; the isolation that
        a refused task needs, or nil; after 'part', how many tasks of the earlier call need not be given
        again, else 1 if it left tasks of a lane in `woken` to others, or nil; the lanes to which it moved
        tasks that the consumer does not run from where they waited, or nil; for each task id, token, how
        many fields and values its hash had before the claim, isolation or nil, and these; for one as it was
        sent without options, in its own queue, instead id, token, -1, body, enqueue_time and the task's name;
        for one that has but a ctx besides, and perhaps a result_ttl, id, token, -2, these, ctx, and
        result_ttl or ''; or id, token, -3, body, if the rest is that of the last one of these before it
]]
local prefix, again, claim_id, consumer, lease = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local limit, most_bytes, known = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local running, ignore_isolation = tonumber(ARGV[8]), ARGV[9]
local grace, hold, lanes, knows = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12], ARGV[13]
local served, woken, swept, patience, history = ARGV[14], ARGV[15], ARGV[16], ARGV[17], ARGV[18]
-- @include time, call_or_reset, free_first, lease_end, claim_record, limits, names, presence, repeat_claim
-- @include serve_lanes, strangers
local claim = { consumer = consumer, lease = lease, limit = limit, most_bytes = most_bytes, running = running,
  ignore_isolation = ignore_isolation == '1', patience = patience, knows = knows, limits = {},
  has_limits = #ARGV > 18, history = history == '1', deadline = lease_end(lease), ids = {}, tokens = {},
  reply = { 'claimed', 0, stamp, false, false, false, false, false }, leases = {},
  bytes = 0, lost = 0, void = 0, isolation = nil, is_full = false, is_left = false, lanes_for = nil,
  moved = nil, over = nil }
if claim.has_limits then claim.limits = read_limits(19) end

local repeated, reply = nil, claim.reply
if again == '1' then repeated = repeat_claim(claim, claim_id, tonumber(known), woken) end
if repeated then return repeated end
local function earlier(a, b) return a and b and math.min(a, b) or a or b end
local delayed = call_or_reset('ZRANGE', prefix .. 'due', '0', '0', 'WITHSCORES')[2]
local leased = call_or_reset('ZRANGE', prefix .. 'lease_ends', '0', '0', 'WITHSCORES')[2]
local due = earlier(delayed and tonumber(delayed), leased and math.max(leased / 1000 + grace, now + hold))
-- Due tasks may come before ready ones, so they have to be moved first.
if swept == '' and due and due <= now then reply[1], reply[4] = 'due', at(0) return reply end

if limit == 0 then free_first() end
local start = serve_lanes(claim, lanes, woken, again == 'late' and claim_id)
if claim.over then return claim.over end
record_claim(claim, claim_id, again)
if claim.moved then reply[8] = flush_strangers(claim) end
if served ~= '' then say_served(names_in(served), lease) end
if start then due = earlier(due, start) end
if claim.is_full or claim.void > 0 then due = earlier(due, now) end
reply[2], reply[4] = claim.lost, due and at(due - now) or false
reply[5], reply[6] = start and at(start - now) or false, claim.isolation or false
if claim.is_left then reply[7] = 1 end
return reply
