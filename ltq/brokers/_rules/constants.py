"""Numbers and texts of the rules that every broker follows, each in one place.

Brokers whose transitions are written in another language (Lua, SQL) get them from here, too. What
users may see or set is in `ltq.options`; the numbers of isolation are in `ltq.broker.isolation`.
"""

ENDED_TTL = 10
"""Seconds for which a task is remembered that ended and whose state was not kept."""

MAX_ENDED = 10_000
"""How many such tasks of a namespace are remembered; the oldest go first."""

RECHECK = 1.0
"""Seconds until a lane is looked at again whose limit is used up by running tasks."""

OVERDUE_AFTER = 60.0
"""Seconds after the end of a lease from which it counts as overdue."""

THROUGHPUT_STEP = 10
"""Seconds in which tasks that end are counted together."""

THROUGHPUT_STEPS = 6
"""How many such steps make up the last minute: the present one, and those before."""

SLOT_TTL = 30 * 86400
"""Seconds for which the last slot of a schedule is kept after its next one is due."""

SLOT_OWNED = 60
"""Seconds after a slot is due for which its schedule still belongs to the spec that was kept."""

SLOT_AHEAD = 86400
"""Seconds that a kept slot may lie in the future; beyond that, a wrong clock must have kept it."""

KILLED_ONCE = "killed its worker once"
"""The error of a task that is buried at the first death of a worker under it."""

KILLED_TIMES = "killed its worker %s times"
"""The same after more deaths: `KILLED_TIMES % deaths`."""
