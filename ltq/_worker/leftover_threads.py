"""Runs that are over while their threads go on."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from ltq.message import Delivery, Lease, Requeue

logger = logging.getLogger("ltq.worker")


class OutlivingThreads:
    """Threads that go on although their runs are over, by the leases of those runs.

    Such a thread keeps the slot of its run. Where the run is to be tried again, its retry waits
    here until the thread has ended, so that the task does not run beside itself. `ended` is
    called then, in the event loop, with the lease and the retry that still waits.
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
        """How many retries wait for the end of a thread."""
        return sum(retry is not None for retry in self._retries.values())

    def add(self, delivery: Delivery, thread: "Future[Any]", retry: Requeue | None) -> None:
        """Keep a thread until it ends, and with it the retry of its run, if there is one."""
        self._retries[delivery.lease] = retry
        logger.warning(
            "%s %s: its run is over, but its thread goes on and keeps its slot until it ends%s",
            delivery.task_name,
            delivery.lease.id,
            "" if retry is None else "; only then it is tried again",
        )
        ended = partial(self._thread_ended, delivery)
        thread.add_done_callback(partial(_call_in, asyncio.get_running_loop(), ended))

    def take_retry(self, lease: Lease) -> Requeue | None:
        """The retry that waits for a thread: it waits no longer. The thread keeps its slot."""
        retry = self._retries.get(lease)
        if retry is not None:
            self._retries[lease] = None
        return retry

    def _thread_ended(self, delivery: Delivery) -> None:
        logger.info("%s %s: its thread has ended", delivery.task_name, delivery.lease.id)
        self._ended(delivery.lease, self._retries.pop(delivery.lease))


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], object], _: "Future[Any]") -> None:
    """Call something in an event loop, if that has not ended yet."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
