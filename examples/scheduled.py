"""Two tasks that take turns, by the clock.

    ltq run examples.scheduled:worker --with-scheduler       # all in one process
    ltq schedule list examples.scheduled:worker              # when each runs next

or with worker and scheduler in processes of their own, as many of each as you like:

    ltq run examples.scheduled:worker
    ltq schedule examples.scheduled:worker

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. It ticks in even seconds and
tocks in odd ones. With six fields, the seconds come last.
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
