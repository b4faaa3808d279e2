"""What tests ask of the tasks they sent."""

from collections import Counter
from typing import TypeVar

import ltq
from devtools.ledger import Ledger
from devtools.workers import CRASH_VARIABLE, Fleet, WorkerProcess
from ltq.state import TaskState
from tests.eventually import eventually
from tests.faults import jobs

T = TypeVar("T")

STARTED = 15.0
"""Seconds a process may take to start and to claim."""


async def started(ledger: Ledger, handles: list[ltq.Handle[T]], times: int = 1) -> None:
    """Wait until the tasks have started, so many times each."""
    wanted = dict.fromkeys((handle.id for handle in handles), times)

    def have() -> bool:
        starts = Counter(event.id for event in ledger.events("start") if event.id in wanted)
        assert all(count <= times for count in starts.values()), "one has started too often"
        return starts == wanted

    await eventually(have, STARTED, "the start of the tasks")


async def send_holds(count: int, gate: str = "gate") -> list[ltq.Handle[int]]:
    """Tasks that run until the gate is opened."""
    return await jobs.hold.send_many([jobs.hold.message(gate) for _ in range(count)])


async def produce(fleet: Fleet, url: str, task_id: str, *, crash: str = "") -> WorkerProcess:
    """Start a process that sends `double` once, under this id."""
    code = f"from tests.faults import jobs; jobs.produce({task_id!r})"
    return await fleet.run(url, ["-c", code], {CRASH_VARIABLE: crash})


async def states(handles: list[ltq.Handle[T]]) -> list[TaskState[T]]:
    """As they are now."""
    return [await handle.state() for handle in handles]
