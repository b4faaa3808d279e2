"""Threads that go on although their runs are over: a thread cannot be cancelled."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from ltq._aio.threads import call_in
from ltq.message import Delivery, Lease, Requeue

logger = logging.getLogger("ltq.worker")


class LeftoverThreads:
    """Threads that go on although their runs are over, by the leases of those runs.

    Such a thread keeps the slot of its run. If the task is to be retried, the retry waits here
    until the thread has ended, so that the task does not run twice at once. Then `ended` is called
    in the event loop, with the lease and the retry that still waits, or None.
    """

    def __init__(self, ended: Callable[[Lease, Requeue | None], None]) -> None:
        self._ended = ended
        self._retries: dict[Lease, Requeue | None] = {}

    def __len__(self) -> int:
        return len(self._retries)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._retries)

    @property
    def waiting(self) -> int:
        """How many retries wait for a thread to end."""
        return sum(retry is not None for retry in self._retries.values())

    def retries(self) -> list[Requeue]:
        """The retries that wait for a thread to end. From any thread."""
        return [retry for retry in list(self._retries.values()) if retry is not None]

    def add(self, delivery: Delivery, thread: "Future[Any]", retry: Requeue | None) -> None:
        """Keep a thread until it ends, together with the retry of its run, if there is one."""
        self._retries[delivery.lease] = retry
        loop = asyncio.get_running_loop()
        thread.add_done_callback(lambda _: call_in(loop, self._thread_ended, delivery))
        with suppress(BaseException):  # users' log handlers
            logger.warning(
                "%s %s: its run is over, but its thread goes on and keeps its slot until it ends%s",
                delivery.task_name,
                delivery.lease.id,
                "" if retry is None else "; it will be retried only then",
            )

    def take_retry(self, lease: Lease) -> Requeue | None:
        """Return the retry that waits for a thread, which then no longer waits; None if none does.

        The thread still keeps its slot.
        """
        retry = self._retries.get(lease)
        if retry is not None:
            self._retries[lease] = None
        return retry

    def _thread_ended(self, delivery: Delivery) -> None:
        self._ended(delivery.lease, self._retries.pop(delivery.lease))
        logger.info("%s %s: its thread has ended", delivery.task_name, delivery.lease.id)
