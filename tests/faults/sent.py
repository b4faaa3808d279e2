"""What tests ask of the tasks they sent."""

from collections import Counter
from typing import TypeVar

import ltq
from ltq.state import TaskState
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.ledger import Ledger

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


async def states(handles: list[ltq.Handle[T]]) -> list[TaskState[T]]:
    """As they are now."""
    return [await handle.state() for handle in handles]
