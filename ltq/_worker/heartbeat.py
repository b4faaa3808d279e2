"""Keeping leases alive, from a thread of its own.

A task that blocks the event loop must not lose its lease, so the heartbeat does not live there.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context

from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service, cancel_all
from ltq._aio.threads import call_in
from ltq._worker.protocols import HeldLeases, LeaseListener
from ltq.broker import Broker, Settler
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")

_RETRY = 0.5
"""Seconds after which a failed renewal is repeated: leases run out meanwhile."""

BLOCKED_AFTER = 1.0
"""Seconds without an answer after which an event loop counts as blocked."""


class Heartbeat(Service):
    """Renews the leases that the worker holds, every third of their duration (in seconds).

    It also tells the listener when the worker's event loop is blocked: that is the loop in which
    the heartbeat was made.
    """

    def __init__(
        self,
        broker: Broker,
        leases: HeldLeases,
        duration: float,
        *,
        listener: LeaseListener,
        clock: Clock = time.monotonic,
        jitter: Jitter = jittered,
    ) -> None:
        super().__init__("ltq-heartbeat", logger)
        self._broker = broker
        self._leases = leases
        self._duration = duration
        self._listener = listener
        self._clock = clock
        self._jitter = jitter
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._worker_loop = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._has_ended = asyncio.Event()
        self.renewed_at: float = clock()
        """When all held leases were last renewed, by the clock."""

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and not self._has_ended.is_set()

    def start(self) -> None:
        """Start the thread, and wait until it has an event loop."""
        if self.is_running:
            return
        self._is_stopping = False
        self._has_ended.clear()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(ready,), name=self.name, daemon=True
        )
        Context().run(self._thread.start)  # some Pythons let it inherit the caller's
        ready.wait()

    def stop(self) -> None:
        """Tell the thread to end."""
        self._is_stopping = True
        if self._loop is not None and self._told_to_stop is not None:
            call_in(self._loop, self._told_to_stop.set)

    async def wait(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            await self._has_ended.wait()  # joining it would take a thread of a pool, maybe full

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until the thread has ended; return whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.wait()
        return not self.is_running

    async def aclose(self) -> None:
        """End the thread."""
        self.stop()
        await self.wait()

    def is_late(self) -> bool:
        """Whether the worker holds leases that were not renewed for half of their duration."""
        return bool(self._leases.all()) and self._clock() - self.renewed_at > self._duration / 2

    def _work(self, ready: threading.Event) -> None:
        """What the thread does."""
        try:
            asyncio.run(self._beat(ready))
        except Exception:
            logger.exception("the heartbeat failed: leases are no longer renewed")
        finally:
            ready.set()
            call_in(self._worker_loop, self._has_ended.set)

    async def _beat(self, ready: threading.Event) -> None:
        self._loop, self._told_to_stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        async with self._broker.clone() as broker:
            self._spawn(self._listen(), "listen")
            self._spawn(self._renew(broker), "renew")
            await self._told_to_stop.wait()
            await cancel_all(self._others())

    async def _listen(self) -> None:
        """Ask the worker's event loop for an answer, once a second."""
        here = asyncio.get_running_loop()
        while not self._worker_loop.is_closed():
            answered = asyncio.Event()
            call_in(self._worker_loop, call_in, here, answered.set)
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await answered.wait()
            except TimeoutError:
                self._listener.loop_blocked()
                await answered.wait()
            await asyncio.sleep(BLOCKED_AFTER)

    async def _renew(self, settler: Settler) -> None:
        """Renew the held leases until cancelled. An attempt that fails is followed by another."""
        third = self._duration / 3
        pause = third
        while True:
            await asyncio.sleep(pause)
            pause = await self._renew_once(settler, self._leases.all(), third)

    async def _renew_once(self, settler: Settler, leases: Sequence[Lease], third: float) -> float:
        """Renew leases; return the seconds until the next time."""
        try:
            lost = await settler.heartbeat(leases, self._duration) if leases else []
        except BrokerError as error:
            self._throttled.warning("%d leases could not be renewed: %s", len(leases), error)
            return min(third, self._jitter(_RETRY))
        except Exception:
            logger.exception("%d leases could not be renewed", len(leases))
            return third
        self.renewed_at = self._clock()
        if self._throttled.over():
            logger.info("leases are renewed again")
        for lease in lost:
            if lease in self._leases:
                call_in(self._worker_loop, self._listener.lease_lost, lease)
        return third
