"""Keeping leases alive, from a thread of its own.

A task that blocks the event loop must not lose its lease, so the heartbeat does not live there.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ltq.broker import Broker
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")

_RETRY = 0.5
"""Seconds after which a heartbeat that failed is repeated: leases do not wait."""

BLOCKED_AFTER = 1.0
"""Seconds without a sign of life after which an event loop counts as blocked."""


class Heartbeat:
    """Renews the leases that are held, every third of their duration.

    Only what the worker really holds is renewed, pair by pair of id and token. `lost` is called
    in the worker's event loop with each lease that could not be. When that loop does not answer
    for a while, `blocked` is called here, in this thread, once for each time it is blocked.
    """

    def __init__(
        self,
        broker: Broker,
        duration: float,
        *,
        lost: Callable[[Lease], None],
        blocked: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._duration = duration
        self._lost = lost
        self._blocked = blocked
        self._held: dict[Lease, None] = {}
        self._renewed = time.monotonic()
        self._seldom = ThrottledLogger(logger)
        self._home = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="ltq-heartbeat", daemon=True)
        self._ready = threading.Event()
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    def hold(self, lease: Lease) -> None:
        """Renew a lease from now on."""
        self._held[lease] = None

    def held(self) -> list[Lease]:
        """The leases that are renewed now."""
        return list(self._held)

    def is_late(self) -> bool:
        """Whether leases are held that were not renewed for half of their duration."""
        return bool(self._held) and time.monotonic() - self._renewed > self._duration / 2

    @property
    def renewed_at(self) -> float:
        """When all that is held was renewed last, by the monotonic clock."""
        return self._renewed

    def release(self, lease: Lease) -> None:
        """Do not renew a lease any more."""
        self._held.pop(lease, None)

    async def aclose(self) -> None:
        """CancelReason the thread."""
        if self._loop is not None and self._stopped is not None:
            _call_in(self._loop, self._stopped.set)
        await self._ended.wait()  # not by a thread of a pool that tasks may have filled

    def _run(self) -> None:
        try:
            asyncio.run(self._beat())
        finally:
            self._ready.set()
            _call_in(self._home, self._ended.set)

    async def _beat(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        async with self._broker.clone() as broker:
            loops = [asyncio.create_task(loop) for loop in (self._listen(), self._renew(broker))]
            await self._stopped.wait()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _listen(self) -> None:
        """Ask the worker's event loop for a sign of life, again and again."""
        here = asyncio.get_running_loop()
        while not self._home.is_closed():
            answered = asyncio.Event()
            _call_in(self._home, partial(_call_in, here, answered.set))
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await answered.wait()
            except TimeoutError:
                self._blocked()
                await answered.wait()
            await asyncio.sleep(BLOCKED_AFTER)

    async def _renew(self, broker: Broker) -> None:
        """Renew what is held, for ever; whatever an attempt raises, there is a next one."""
        pause = third = self._duration / 3
        while True:
            await asyncio.sleep(pause)
            pause = third
            held = list(self._held)  # atomic: the other thread goes on
            try:
                lost = await broker.heartbeat(held, self._duration) if held else []
            except BrokerError as error:
                self._seldom.warning("%d leases could not be renewed: %s", len(held), error)
                pause = min(third, _RETRY * random.uniform(0.5, 1.0))
                continue
            except Exception:
                logger.exception("%d leases could not be renewed", len(held))
                continue
            self._renewed = time.monotonic()
            if self._seldom.over():
                logger.info("leases are renewed again")
            for lease in lost:
                if lease in self._held:
                    _call_in(self._home, partial(self._lost, lease))


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call something in another thread's event loop, if that has not ended yet."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
