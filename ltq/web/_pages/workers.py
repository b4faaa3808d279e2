"""The workers: which live, what they run, and how full they are."""

import asyncio
from typing import Any

from ltq.names import namespace_of
from ltq.state import Status, TaskState, WorkerStatus
from ltq.web._pages.page import Ask
from ltq.web._source.readings import silent_among

_MOST_TASKS = 500
"""Running tasks that are read."""


async def read_workers(ask: Ask) -> dict[str, Any]:
    """All workers, those that are silent first, and the tasks that run."""
    snapshot, workers = await asyncio.gather(
        ask.readings.snapshot.get(), ask.readings.workers.get()
    )
    ids = [task_id for one in workers for task_id in one.running][:_MOST_TASKS]
    busy = {namespace_of(one.queue): one.queue for one in snapshot.queues if one.working}
    tasks = await ask.readings.bounded(_running(ask, list(busy.values()), ids))
    return {
        "now": snapshot.now,
        "workers": sorted(workers, key=lambda one: (one.status is WorkerStatus.ALIVE, one.name)),
        "silent": silent_among(workers),
        "slots": sum(one.concurrency or 0 for one in workers),
        "running": sum(len(one.running) for one in workers),
        "tasks": sorted(tasks, key=lambda one: one.last_dequeue_time or 0.0),
        "notes": {one.id: ask.viewer.note(one) for one in tasks},
    }


async def _running(ask: Ask, queues: list[str], ids: list[str]) -> list[TaskState[bytes]]:
    """The states of running tasks: any queue of a namespace finds all of it."""
    found: dict[str, TaskState[bytes]] = {}
    for queue in queues:
        missing = [task_id for task_id in ids if task_id not in found]
        if missing:
            for state in await ask.board.broker.states(queue, missing):
                if state is not None and state.status is Status.WORKING:
                    found[state.id] = state
    return list(found.values())
