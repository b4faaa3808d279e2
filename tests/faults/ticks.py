"""What the scheduler processes of `test_schedulers.py` fire, every second."""

import ltq

worker = ltq.Worker("ticks")
scheduler = ltq.Scheduler()


@worker.task(result_ttl=0)
async def tick() -> None:
    """Nothing to do: that it is sent counts."""


scheduler.cron("* * * * * *", tick.message(), name="second")

seldom = ltq.Scheduler()
"""Another version: it declares the same schedule differently."""

seldom.cron("@yearly", tick.message(), name="second")
