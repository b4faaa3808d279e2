"""Keeping leases alive, from a thread of its own.

A task that blocks the event loop must not lose its lease, so the heartbeat does not live there.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context

from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.exit import exit_now
from ltq._aio.service import Service, cancel_all
from ltq._aio.threads import call_in
from ltq._worker.protocols import BlockListener, HeldLeases, LeaseListener, Registration
from ltq.broker import Broker, Presence, Settler
from ltq.broker.shards import renew_each
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")

_RETRY = 0.5
"""Seconds after which a failed renewal is repeated: leases run out meanwhile."""

_LOOK = 0.1
"""Seconds between two looks at whether a process with a blocked event loop has to end."""

_LAST_CALLS = 1.0
"""Most seconds to write outcomes before the process ends."""

_SILENCE = 0.75
"""The part of a lease after which a worker that does not claim says that it lives. An idle one
claims more often than that, if its lease is not very short."""

BLOCKED_AFTER = 1.0
"""Seconds without an answer after which an event loop counts as blocked."""


class Heartbeat(Service):
    """Renews the leases that the worker holds, every third of their duration (in seconds).

    It also tells the broker that this worker lives and serves `lanes`, if no claim has said so
    lately: `claimed_at` returns when the last one did, by the clock. It keeps the `registration`,
    which ends with it. And it watches the worker's event loop, in which it was made. While that is
    blocked, `blocked` says which leases are given up, and whether to end the process with
    `end_process`.
    """

    def __init__(  # noqa: PLR0913  the last three are for tests
        self,
        broker: Broker,
        leases: HeldLeases,
        duration: float,
        *,
        lanes: Sequence[str] = (),
        registration: Registration | None = None,
        claimed_at: Callable[[], float] = lambda: 0.0,
        listener: LeaseListener,
        blocked: BlockListener,
        end_process: Callable[[int], object] = exit_now,
        clock: Clock = time.monotonic,
        jitter: Jitter = jittered,
    ) -> None:
        super().__init__("ltq-heartbeat", logger)
        self._broker = broker
        self._leases = leases
        self._duration = duration
        self._lanes = lanes
        self._registration = registration
        self._claimed_at = claimed_at
        self._listener = listener
        self._blocked = blocked
        self._end_process = end_process
        self._clock = clock
        self._jitter = jitter
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._worker_loop = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._has_ended = asyncio.Event()
        self._is_blocked = False
        self._is_cut_off = False
        """Whether the last renewal has failed, of all leases."""
        self._failing: dict[str, float] = {}
        """When the leases of a shard were last renewed, by shard, if the last attempt failed."""
        self._given_up: set[Lease] = set()
        """Leases that are not renewed although they are held."""
        self.renewed_at: float = clock()
        """When held leases were last renewed, by the clock: all but those of shards that fail."""

    @property
    def renewed_ago(self) -> float:
        """Seconds since `renewed_at`."""
        return self._clock() - self.renewed_at

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
            self._thread.join()  # a moment: that it has ended is the last that it says

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

    def late(self, shard: str) -> list[Lease]:
        """The held leases of a shard if they were not renewed for half of their duration."""
        if self._clock() - self._failing.get(shard, self.renewed_at) <= self._duration / 2:
            return []
        leases = self._leases.all()
        return [lease for lease in leases if self._broker.shard(lease.queue) == shard]

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
            self._spawn(self._listen(broker), "listen")
            self._spawn(self._renew(broker), "renew")
            self._spawn(self._serve(broker), "serve")
            if self._registration is not None:
                self._spawn(self._registration.keep(broker), "register")
            await self._told_to_stop.wait()
            await cancel_all(self._others())
            await self._leave(broker)

    async def _leave(self, broker: Broker) -> None:
        """Say that the worker has ended."""
        if self._registration is not None and not self._is_cut_off:
            await self._registration.leave(broker)

    async def _listen(self, broker: Broker) -> None:
        """Ask the worker's event loop for an answer, once a second."""
        here = asyncio.get_running_loop()
        while not self._worker_loop.is_closed():
            answered = asyncio.Event()
            call_in(self._worker_loop, call_in, here, answered.set)
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await answered.wait()
            except TimeoutError:
                self._is_blocked = True
                self._blocked.loop_blocked()
                await self._watch(answered, broker)
                self._is_blocked = False
            await asyncio.sleep(BLOCKED_AFTER)

    async def _watch(self, answered: asyncio.Event, broker: Broker) -> None:
        """Wait until the worker's event loop answers, and end the process if it has to end."""
        while not answered.is_set():
            if self._blocked.must_end():
                with suppress(Exception):
                    async with asyncio.timeout(_LAST_CALLS):
                        await self._blocked.hand_over(broker)
                        await self._leave(broker)
                self._end_process(0)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await answered.wait()

    async def _renew(self, settler: Settler) -> None:
        """Renew the held leases until cancelled. An attempt that fails is followed by another."""
        third = self._duration / 3
        pause = third
        while True:
            await asyncio.sleep(pause)
            leases = self._leases.all()
            if self._is_blocked or self._given_up:
                leases = await self._give_up(settler, leases)
            pause = await self._renew_once(settler, leases, third)

    async def _serve(self, broker: Presence) -> None:
        """Say that this worker lives, until cancelled. If that fails, the next time will do."""
        pause, said_at = self._duration * _SILENCE, self._clock()
        while self._lanes:
            silent = self._clock() - max(said_at, self._claimed_at())
            await asyncio.sleep(max(0.0, pause - silent))
            if self._clock() - max(said_at, self._claimed_at()) < pause:
                continue  # a claim has said it meanwhile
            said_at = self._clock()
            try:
                await broker.serve(self._lanes, self._duration)
            except BrokerError as error:
                logger.debug("could not announce that this worker serves its queues: %s", error)
            except Exception:
                logger.exception("could not announce that this worker serves its queues")

    async def _give_up(self, settler: Settler, leases: Sequence[Lease]) -> list[Lease]:
        """Give up what a blocked event loop cannot end; return the leases that are kept."""
        self._given_up.intersection_update(leases)
        if self._is_blocked:
            culprits, returned = self._blocked.given_up()
            self._let_end([lease for lease in culprits if lease not in self._given_up])
            await self._return(settler, [one for one in returned if one not in self._given_up])
        return [lease for lease in leases if lease not in self._given_up]

    def _let_end(self, leases: Sequence[Lease]) -> None:
        """Renew the leases of culprits no longer. Each is told of once."""
        self._given_up.update(leases)
        for lease in leases:
            logger.error(
                "task %s blocks the event loop beyond its timeout: its lease is given up", lease.id
            )

    async def _return(self, settler: Settler, leases: Sequence[Lease]) -> None:
        """Let tasks run elsewhere. If that fails, their leases are renewed."""
        if not leases:
            return
        try:
            await settler.finish([self._blocked.put_back(lease) for lease in leases])
        except Exception as error:
            self._throttled.warning("%d tasks could not be requeued: %s", len(leases), error)
            return
        logger.warning("the event loop is blocked: %d tasks are requeued", len(leases))
        self._given_up.update(leases)
        for lease in leases:
            call_in(self._worker_loop, self._listener.lease_lost, lease)

    async def _renew_once(self, settler: Settler, leases: Sequence[Lease], third: float) -> float:
        """Renew leases; return the seconds until the next time."""
        try:
            renewal = await renew_each(settler, leases, self._duration)
        except Exception:
            logger.exception("%d leases could not be renewed", len(leases))
            return third
        before = self.renewed_at
        self._failing = {shard: self._failing.get(shard, before) for shard in renewal.failed}
        self._is_cut_off = not renewal.is_answered
        if renewal.is_answered:
            self.renewed_at = self._clock()
        for lease in renewal.lost:
            if lease in self._leases:
                call_in(self._worker_loop, self._listener.lease_lost, lease)
        if renewal.error is not None:
            count = sum(map(len, renewal.failed.values()))
            self._throttled.warning("%d leases could not be renewed: %s", count, renewal.error)
            return min(third, self._jitter(_RETRY))
        if self._throttled.over():
            logger.info("leases are renewed again")
        return third
