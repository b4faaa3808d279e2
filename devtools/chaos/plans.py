"""What the scheduler processes of the chaos runs fire: seconds, by each policy."""

import ltq

NAME = "plans"
TARGET, BARE = "devtools.chaos.plans:scheduler", "devtools.chaos.plans:bare"

ALL = ("all-1", "all-2", "all-3", "all-4")
"""Schedules none of whose slots may be missing."""
KEPT = tuple(f"all-kept-{number}" for number in range(1, 5))
"""Those that are put at run time, replaced, paused and resumed. None of their slots may be missing
either: what passes during a pause is made up."""
OTHERS = ("once-1", "once-2", "skip-1", "skip-2")
"""Those whose missed slots are one, or none."""

worker = ltq.Worker(NAME)
scheduler = ltq.Scheduler()
bare = ltq.Scheduler()
"""It declares nothing: it fires what is put."""


@worker.task(result_ttl=0)
async def tick() -> None:
    """Nothing to do: that it is sent counts."""


for _name in (*ALL, *OTHERS):
    scheduler.cron("* * * * * *", tick.message(), name=_name, misfire=_name.partition("-")[0])  # type: ignore[arg-type]
