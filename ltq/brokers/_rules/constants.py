"""Numbers and texts of the rules that every broker follows.

Brokers whose transitions are written in another language (Lua, SQL) also take them from here. What
users may see or set is in `ltq.options`; the numbers of isolation are in `ltq.broker.isolation`.
"""

ENDED_TTL = 10
"""Seconds for which a task that ended without leaving a state is remembered."""

MAX_ENDED = 10_000
"""How many such tasks of a namespace are remembered. The oldest are forgotten first."""

ANNOUNCE_AGAIN = 300
"""Seconds after which all that a worker says of itself is written again: perhaps it was lost."""

ITEMS_TTL = 30 * 86400
"""Seconds for which the items of a task are kept that has neither ended nor yielded since."""

JUST_NOW = 0.000001
"""Seconds ago that a lane was served that is not served any more from now on."""

CLAIM_KEPT = 60
"""Seconds after the end of its leases for which a claim may be repeated."""

RECHECK = 1.0
"""Seconds until a lane is tried again if running tasks use up its limit."""

LANES_AT_ONCE = 8
"""How many lanes take turns within a claim. Another one comes in when one of them gives no more: a
claim that took a task of each lane would cost several times as much where many lanes wait."""

MOST_MOVED = 100
"""Most tasks that one claim moves to other lanes, so that it stays short."""

MAX_LANES = 1000
"""Most lanes of one queue that claims make. Beyond that, unknown tasks are given."""

OVERDUE_AFTER = 60.0
"""Seconds after the end of a lease from which it counts as overdue."""

CALL_BYTES = 1_000_000
"""Bytes of payload from which no further task is put in a call or reply, so that it is not long on
its way, and not much has to be sent again if its connection is lost."""

TASK_BYTES = 256
"""Bytes that a task takes in a reply beside its payload, roughly."""

SLOWEST = 125_000
"""Bytes a second at which a network counts as usable, if only very slowly."""

MOST_LOOKED = 5000
"""Most tasks that one call looks at to list those that match."""

THROUGHPUT_STEP = 2
"""Seconds of a step: tasks that end within one are counted together."""

THROUGHPUT_STEPS = 30
"""How many steps make up the last minute, with the present one."""

THROUGHPUT_LATELY = 5
"""How many steps make up the last ten seconds, with the present one."""

HISTORY_TTL = 86400 + 120
"""Seconds for which the figures of a minute are kept after something was first counted in it."""

SLOT_TTL = 30 * 86400
"""Seconds for which the last slot of a schedule is kept after its next one is due."""

MAX_REMOVED = 1000
"""How many removed schedules of a namespace are remembered, so that schedulers learn of it. One
that has missed a removal finds out when the schedule is due."""

MOST_SCHEDULES = 500
"""Most schedules that one call reads."""

SCHEDULER_TTL = 3600
"""Seconds for which it is kept when a scheduler was last heard of."""
