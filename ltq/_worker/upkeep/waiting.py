"""Runs that wait for other tasks of their worker: in all slots at once, they wait in vain."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from typing import NamedTuple

from ltq._aio.service import Service
from ltq._aio.threads import call_in
from ltq.broker import Watcher
from ltq.errors import BrokerError
from ltq.handle import Awaited
from ltq.logger import running
from ltq.message import Delivery
from ltq.state import Status

logger = logging.getLogger("ltq.worker")

LOOK_AFTER, LONGEST_PAUSE = 2.0, 60.0
"""Seconds until it is looked whether all runs wait in vain, and the longest pause between looks."""

_MOST_READ = 100
"""Most states of awaited tasks that are read."""

_MOST_NAMED = 3
_WAITING = (Status.PENDING, Status.DELAYED)


class _Wait(NamedTuple):
    run_id: str
    run_name: str
    awaited: Awaited


class WaitingRuns(Service):
    """Warns once if all slots are taken by runs that wait for tasks which have no room to run.

    Only what waits for a task of a served queue counts. `all_slots` returns the deliveries that
    run if they take all slots, else nothing.
    """

    def __init__(
        self,
        name: str,
        broker: Watcher,
        served: Collection[str],
        all_slots: Callable[[], Sequence[Delivery]],
    ) -> None:
        super().__init__("ltq-waiting", logger)
        self._worker = name
        self._broker = broker
        self._served = frozenset(served)
        self._all_slots = all_slots
        self._loop = asyncio.get_running_loop()
        self._waits: dict[int, _Wait] = {}
        self._numbers = count()
        self._is_told = False
        """Whether the event loop is about to look: many waits may begin together."""
        self._has_warned = False

    @contextmanager
    def waiting_for(self, awaited: Awaited) -> Iterator[None]:
        """Note that the running task waits for another one during the block. From any thread."""
        run = running.get()
        if run is None or awaited.queue not in self._served or self._has_warned:
            yield
            return
        number = next(self._numbers)
        self._waits[number] = _Wait(run.id, run.task_name, awaited)
        if not self._is_told:
            self._is_told = True
            call_in(self._loop, self._look_soon)
        try:
            yield
        finally:
            del self._waits[number]

    def _look_soon(self) -> None:
        self._is_told = False
        if not self.is_stopping and not self._has_warned and self._stuck():
            self.start()

    async def _run(self) -> None:
        pause = LOOK_AFTER
        while waits := self._stuck():
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            if self._stuck() == waits and await self._wait_in_vain(waits):
                self._warn(waits)
                return

    def _stuck(self) -> Sequence[_Wait]:
        """What the runs wait for, if they take all slots and all of them wait; else nothing."""
        deliveries = self._all_slots()
        if not deliveries:
            return ()
        waits = list(self._waits.values())
        waiting = {wait.run_id for wait in waits}
        return waits if all(one.lease.id in waiting for one in deliveries) else ()

    async def _wait_in_vain(self, waits: Sequence[_Wait]) -> bool:
        """Whether all that is awaited still waits itself, in a queue or in a slot."""
        runs = {wait.run_id for wait in waits}
        awaited = {(wait.awaited.queue, wait.awaited.id) for wait in waits}
        waiting = sorted(one for one in awaited if one[1] not in runs)[:_MOST_READ]
        by_queue: dict[str, list[str]] = {}
        for queue, task_id in waiting:
            by_queue.setdefault(queue, []).append(task_id)
        try:
            states = [
                state
                for queue, ids in by_queue.items()
                for state in await self._broker.states(queue, ids)
            ]
        except BrokerError:
            return False
        return all(state is not None and state.status in _WAITING for state in states)

    def _warn(self, waits: Sequence[_Wait]) -> None:
        self._has_warned = True
        pairs = dict.fromkeys(f"{one.run_name} for {one.awaited.task_name}" for one in waits)
        more = ", ..." if len(pairs) > _MOST_NAMED else ""
        names = ", ".join(islice(pairs, _MOST_NAMED)) + more
        logger.warning(
            "%s: all %d slots are taken by tasks that wait for other tasks of this worker, which "
            "have no room to run (%s). If no other worker serves these, they wait for ever: raise "
            "`concurrency`, or declare what is waited for in another worker",
            self._worker,
            len({wait.run_id for wait in waits}),
            names,
        )
