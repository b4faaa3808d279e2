"""Keeping leases alive, from a thread of its own.

A task that blocks the event loop must not lose its lease, so the heartbeat does not live there.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service, cancel_all
from ltq.broker import Broker, Settler
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")

_RETRY = 0.5
"""Seconds after which a heartbeat that failed is repeated: leases do not wait."""

BLOCKED_AFTER = 1.0
"""Seconds without an answer after which an event loop counts as blocked."""


class HeldLeases(Protocol):
    """The leases to renew, read from the heartbeat's thread."""

    def __contains__(self, lease: Lease) -> bool: ...

    def all(self) -> list[Lease]:
        """Those held now."""
        ...


class Listener(Protocol):
    """Who is told what the heartbeat finds."""

    def lease_lost(self, lease: Lease) -> None:
        """A lease was refused. Called in the worker's event loop."""
        ...

    def loop_blocked(self) -> None:
        """That loop does not answer; once for each time. Called in the heartbeat's thread."""
        ...


class Heartbeat(Service):
    """Renews the leases that are held, every third of their duration (in seconds).

    Only what the worker really holds is renewed, pair by pair of id and token. The worker's event
    loop is the one it is made in.
    """

    def __init__(
        self,
        broker: Broker,
        leases: HeldLeases,
        duration: float,
        *,
        listener: Listener,
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
        """When all that is held was renewed last, by the clock."""

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
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Tell the thread to end."""
        self._is_stopping = True
        if self._loop is not None and self._told_to_stop is not None:
            _call_in(self._loop, self._told_to_stop.set)

    async def wait(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            await self._has_ended.wait()  # not by a thread of a pool that tasks may have filled

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended, at most `timeout` seconds; return whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.wait()
        return not self.is_running

    async def aclose(self) -> None:
        """End the thread."""
        self.stop()
        await self.wait()

    def is_late(self) -> bool:
        """Whether leases are held that were not renewed for half of their duration."""
        return bool(self._leases.all()) and self._clock() - self.renewed_at > self._duration / 2

    def _work(self, ready: threading.Event) -> None:
        """What the thread does."""
        try:
            asyncio.run(self._beat(ready))
        except Exception:
            logger.exception("the heartbeat failed: leases are not renewed any more")
        finally:
            ready.set()
            _call_in(self._worker_loop, self._has_ended.set)

    async def _beat(self, ready: threading.Event) -> None:
        self._loop, self._told_to_stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        async with self._broker.clone() as broker:
            self._spawn(self._listen(), "listen")
            self._spawn(self._renew(broker), "renew")
            await self._told_to_stop.wait()
            await cancel_all(self._others())

    async def _listen(self) -> None:
        """Ask the worker's event loop for a sign of life, again and again."""
        here = asyncio.get_running_loop()
        while not self._worker_loop.is_closed():
            answered = asyncio.Event()
            _call_in(self._worker_loop, partial(_call_in, here, answered.set))
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await answered.wait()
            except TimeoutError:
                self._listener.loop_blocked()
                await answered.wait()
            await asyncio.sleep(BLOCKED_AFTER)

    async def _renew(self, settler: Settler) -> None:
        """Renew what is held, for ever; whatever an attempt raises, there is a next one."""
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
                _call_in(self._worker_loop, partial(self._listener.lease_lost, lease))
        return third


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call something in another thread's event loop, if that has not ended yet."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
