"""Numbers and texts of the rules that every broker follows.

Brokers whose transitions are written in another language (Lua, SQL) also take them from here. What
users may see or set is in `ltq.options`; the numbers of isolation are in `ltq.broker.isolation`.
"""

ENDED_TTL = 10
"""Seconds for which a task that ended without leaving a state is remembered."""

MAX_ENDED = 10_000
"""How many such tasks of a namespace are remembered. The oldest are forgotten first."""

RECHECK = 1.0
"""Seconds until a lane is tried again if running tasks use up its limit."""

OVERDUE_AFTER = 60.0
"""Seconds after the end of a lease from which it counts as overdue."""

CALL_BYTES = 1_000_000
"""Bytes of payload from which no further task is put in a call or reply, so that it is not long on
its way, and not much has to be sent again if its connection is lost."""

SLOWEST = 125_000
"""Bytes a second at which a network counts as usable, if only very slowly."""

THROUGHPUT_STEP = 10
"""Seconds of a step: tasks that end within one are counted together."""

THROUGHPUT_STEPS = 6
"""How many steps make up the last minute, with the present one."""

SLOT_TTL = 30 * 86400
"""Seconds for which the last slot of a schedule is kept after its next one is due."""

SLOT_OWNED = 60
"""Seconds after a slot is due for which the schedule still belongs to the spec that is kept."""

KILLED_ONCE = "killed its worker once"
"""The error of a task that is buried after the first death of a worker."""

KILLED_TIMES = "killed its worker %s times"
"""The error after more deaths: `KILLED_TIMES % deaths`."""
