"""What the scheduler processes of `figures/schedules.py` fire: seconds, by each policy."""

import ltq

NAME = "plans"
TARGET = "devtools.chaos.plans:scheduler"

ALL = ("all-1", "all-2", "all-3", "all-4")
"""Schedules none of whose slots may be missing."""
OTHERS = ("once-1", "once-2", "skip-1", "skip-2")
"""Those whose missed slots are one, or none."""

worker = ltq.Worker(NAME)
scheduler = ltq.Scheduler()


@worker.task(result_ttl=0)
async def tick() -> None:
    """Nothing to do: that it is sent counts."""


for _name in (*ALL, *OTHERS):
    scheduler.cron("* * * * * *", tick.message(), name=_name, misfire=_name.partition("-")[0])  # type: ignore[arg-type]
