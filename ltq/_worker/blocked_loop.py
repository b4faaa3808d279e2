"""What becomes of the runs of a worker while its event loop is blocked.

All of this is called in the heartbeat's thread: nothing else goes on.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ltq._aio.clock import Clock
from ltq._aio.loop_breaker import contexts_held_by
from ltq._aio.signals import told_to_stop_at
from ltq._worker.completer import Completer
from ltq._worker.protocols import GivenUp
from ltq._worker.task_pool import TaskPool
from ltq.broker import Settler
from ltq.context import lease_in
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease, Outcome, Requeue

logger = logging.getLogger("ltq.worker")

GRACE = 1.0
"""Seconds after its deadline at which a run that the loop cannot cut is given up."""

STOP_GRACE = 0.5
"""Seconds that other workers of this process get to stop before it is ended."""


class BlockedLoop:
    """Gives up runs, and in the end the process, while the event loop of a worker is blocked.

    The leases of that worker last `lease` seconds. `shutdown_timeout` is None for a worker that
    does not listen to signals: then the process belongs to others, and is never ended.
    """

    def __init__(
        self,
        pool: TaskPool,
        completer: Completer,
        *,
        lease: float,
        shutdown_timeout: float | None,
        told_to_stop: Callable[[], float | None] = told_to_stop_at,
        clock: Clock = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._completer = completer
        self._lease = lease
        self._shutdown_timeout = shutdown_timeout
        self._told_to_stop = told_to_stop
        self._clock = clock
        self._now_at: float | None = None

    def stop_now(self) -> None:
        """Note that the worker was told to stop at once. From any thread."""
        self._now_at = self._clock() if self._now_at is None else self._now_at

    def loop_blocked(self) -> None:
        """Log which task blocks the event loop."""
        delivery = self._blocker()
        logger.warning(
            "the event loop is blocked by %s: leases are kept, but nothing else runs; "
            "a plain `def` task would run in a thread",
            _name(delivery),
        )

    def given_up(self) -> GivenUp:
        """The leases that are not kept any longer, since the loop cannot end their runs.

        A run that blocks the loop beyond its deadline may run elsewhere once its lease has ended,
        which counts a death. From then on its neighbours run elsewhere, too; a neighbour whose own
        deadline has passed does so at once. Runs in threads go on, and are kept.
        """
        now, blocker = self._clock(), self._blocker()
        stalled = self._pool.stalled()
        late = {lease: now - end for lease, end in stalled.items() if end is not None}
        overdue = {lease for lease, seconds in late.items() if seconds > GRACE}
        culprits = overdue if blocker is None else overdue & {blocker.lease}
        returned = overdue - culprits
        if any(late[lease] > GRACE + self._lease for lease in culprits):
            returned = {*stalled} - culprits
        return GivenUp(culprits, returned)

    def put_back(self, lease: Lease) -> Requeue:
        """The outcome that requeues what runs under a lease."""
        return self._pool.put_back(lease)

    def must_end(self) -> bool:
        """Whether the process has to end, because its worker was told to stop and cannot."""
        told = None if self._shutdown_timeout is None else self._told_to_stop()
        if told is None or self._shutdown_timeout is None:
            return False
        end = told + self._shutdown_timeout
        if self._now_at is not None:
            end = min(end, self._now_at)
        return self._clock() > end + STOP_GRACE

    async def hand_over(self, settler: Settler) -> None:
        """Write what has ended and requeue what runs, before the process ends.

        What blocks the loop counts a death.
        """
        blocker, running = self._blocker(), self._pool.running()
        logger.error(
            "the event loop is still blocked by %s: ending the process",
            _name(blocker),
        )
        outcomes: list[Outcome] = [*self._completer.unwritten(), *self._pool.retries()]
        outcomes += [self.put_back(one.lease) for one in running if one is not blocker]
        works: list[Awaitable[object]] = []
        if outcomes:
            works.append(settler.finish(outcomes))
        if blocker is not None:
            works.append(settler.heartbeat([blocker.lease], 0.0))
        with suppress(BrokerError):  # then their leases end later
            await asyncio.gather(*works)

    def _blocker(self) -> Delivery | None:
        """The delivery whose code blocks the loop, as far as is known."""
        task = asyncio.current_task(self._loop)
        found = self._pool.delivery_of(task)
        if found is None and task is not None:  # an asyncio task that a run has started
            leases: set[Lease | None] = {lease_in(one) for one in contexts_held_by(task)}
            found = next((one for one in self._pool.running() if one.lease in leases), None)
        return found


def _name(delivery: Delivery | None) -> str:
    if delivery is None:
        return "code outside any task"
    return f"{delivery.task_name} {delivery.lease.id}"
