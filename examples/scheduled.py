"""Two tasks that take turns, by the clock.

    ltq run examples.scheduled:worker --with-scheduler       # all in one process
    ltq schedule list examples.scheduled:worker              # when it will be what's turn

or the worker and the scheduler as processes of their own, as many of each as you like:

    ltq run examples.scheduled:worker
    ltq schedule examples.scheduled:worker

Redis is found by LTQ_BROKER_URL, else at redis://localhost:6379. In even seconds it ticks, in odd
ones it tocks: six fields have the seconds last.
"""

import ltq

worker = ltq.Worker("scheduled")


@worker.cron("* * * * * */2", misfire="skip")
@worker.task(result_ttl=0)
async def tick() -> None:
    """In even seconds."""
    print(f"tick  {ltq.current().id}", flush=True)


@worker.cron("* * * * * 1-59/2", misfire="skip")
@worker.task(result_ttl=0)
async def tock() -> None:
    """In odd seconds."""
    print(f"tock  {ltq.current().id}", flush=True)


scheduler = ltq.Scheduler()
scheduler.register_worker(worker)

if __name__ == "__main__":
    scheduler.start()
