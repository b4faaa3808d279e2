"""One run of a worker, from the start to the last written outcome."""

import asyncio
import logging
from typing import Any

from ltq._aio.closing import to_the_end
from ltq._aio.service import first_of
from ltq._worker.parts import Parts, RunConfig
from ltq._worker.protocols import CancelReason
from ltq.broker.shards import renew_each
from ltq.message import Lease
from ltq.state import WorkerHealth

logger = logging.getLogger("ltq.worker")

_LAST_CALLS = 1.0
"""Fewest seconds that the last calls get when a worker stops: a claim, the outcomes."""

_CANCEL_TIMEOUT = 0.5
"""Seconds a cancelled task gets to end before it is requeued although it still runs."""


class WorkerRun:
    """Runs a worker once, in the event loop that made it. It is the `RunListener` of its parts."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._parts = parts = Parts(config, listener=self)
        self._fetcher, self._pool, self._completer = parts.fetcher, parts.pool, parts.completer
        self._loop_break = parts.loop_break
        self._task: asyncio.Task[Any] | None = None
        self._ended_before = 0
        """How many task runs had ended when a burst last looked."""
        self._is_stopping = False
        self._now = asyncio.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether `run` is being cancelled, as at the end of `asyncio.run`."""
        return self._task is not None and self._task.cancelling() > 0

    async def run(self) -> None:
        """Work until stopped; in a burst, until no task is due or running."""
        self._task = asyncio.current_task()
        self._parts.start()
        try:
            error = await self._work()
            if error is not None:
                await to_the_end(self._abort())
                raise error
        finally:
            self._is_stopping = True
            await to_the_end(self._parts.aclose())

    def health(self) -> WorkerHealth:
        """How it is doing. From any thread."""
        return WorkerHealth(
            worker=self._config.name,
            claimed_ago=self._fetcher.claimed_ago,
            renewed_ago=self._parts.heartbeat.renewed_ago,
            lease=self._config.lease,
            running=self._pool.used,
            is_full=self._fetcher.is_full,
            is_stopping=self._is_stopping,
        )

    def stop(self, *, now: bool = False) -> None:
        """Claim no more and let running tasks end; with `now`, requeue them at once.

        From any thread.
        """
        if now:
            self._parts.blocked.stop_now()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop, now)

    def lease_lost(self, lease: Lease) -> None:
        """Cancel the run of a lease that the broker refused."""
        # The lease of a task that has just ended is refused as well: then nothing is wrong.
        if self._pool.cancel(lease, CancelReason.LOST):
            self._parts.leases.release(lease)
            logger.warning("task %s: its lease is lost, this run is cancelled", lease.id)

    def task_revoked(self, task_id: str) -> None:
        """Cancel the runs of a task that a user cancelled."""
        self._pool.cancel_id(task_id, CancelReason.REVOKED)
        logger.info("task %s is cancelled", task_id)

    def cancel_reason(self, lease: Lease) -> CancelReason | None:
        """Why a run was cancelled; None if it was not."""
        return self._pool.cancel_reason(lease)

    async def before_sweep(self, shard: str) -> None:
        """After an outage, renew held leases before a sweep takes them for a dead worker's."""
        late = self._parts.heartbeat.late(shard)
        if late:
            for lease in await self._config.broker.heartbeat(late, self._config.lease):
                self.lease_lost(lease)

    def cancels(self, lease: Lease) -> bool:
        """Whether the worker cancels a run: this one, or all."""
        return self.is_cancelled or self.cancel_reason(lease) is not None

    def loop_breaker(self, lease: Lease) -> BaseException | None:
        """The error with which a run broke the event loop; None if it did not."""
        return self._loop_break.error if self._loop_break.is_by(lease) else None

    def dies(self, lease: Lease) -> bool:
        """If the event loop broke, count a death for a task; return whether it did."""
        return self._loop_break.dies(lease)

    async def _work(self) -> BaseException | None:
        """Fetch until stopped, and drain. Returns the error that ends it, instead of raising it.

        So nothing is handled when it is asked whether the event loop broke.
        """
        try:
            await self._fetch()
            await self._drain()
        except BaseException as error:
            return error
        return None

    async def _abort(self) -> None:
        """Requeue at once what runs. If the event loop broke, that is a death."""
        self._stop_claiming()
        self._loop_break.look()  # in a program that cancels this run only
        broke = self._loop_break.error
        if broke is not None:
            logger.error(
                "%s: the event loop broke: %s. Running tasks are requeued",
                self._config.name,
                type(broke).__name__,
            )
        self._pool.cancel_all(
            CancelReason.BROKEN if self._loop_break.kills else CancelReason.SHUTDOWN
        )
        self._completer.resubmit()
        await self._fetcher.drain(_LAST_CALLS)
        await self._finish_off(_LAST_CALLS)
        if self._loop_break.died:
            await renew_each(self._config.broker, self._loop_break.died, 0.0)  # or they end later

    async def _fetch(self) -> None:
        """Claim and start tasks until stopped; in a burst, until there is nothing to do."""
        while not self._is_stopping:
            self._fetcher.start()
            await self._fetcher.wait()
            if not self._config.burst or not await self._may_have_more():
                return

    async def _may_have_more(self) -> bool:
        """Whether a task has ended since the last call: it may have left something to do.

        Outcomes are written first, since the last claim may have come just before them.
        """
        before, self._ended_before = self._ended_before, self._pool.ended
        if self._ended_before == before:
            return False
        await self._completer.drain()
        await self._parts.flows.drain()
        return True

    def _stop(self, now: bool) -> None:
        self._stop_claiming()
        if now:
            self._now.set()

    def _stop_claiming(self) -> None:
        self._is_stopping = True
        self._fetcher.stop()
        self._pool.stop()

    async def _drain(self) -> None:
        """Let running tasks end within the shutdown timeout; then requeue them, using up no try."""
        config = self._config
        if self._pool.used:
            logger.info("%s: waiting for %d running tasks", config.name, self._pool.used)
        deadline = self._loop.time() + config.shutdown_timeout
        await asyncio.gather(
            self._fetcher.drain(_LAST_CALLS),
            self._let_end(config.shutdown_timeout),
        )
        left = 0.0 if self._now.is_set() else deadline - self._loop.time()
        await self._finish_off(max(_LAST_CALLS, left))

    async def _let_end(self, timeout: float) -> None:
        """Wait until no task runs, but not longer than `timeout` seconds, nor after `stop(now)`."""
        await first_of(self._pool.drain(timeout), self._now.wait(), name="ltq-drain")

    async def _finish_off(self, timeout: float) -> None:
        """Requeue what still runs and write all outcomes, within about `timeout` seconds."""
        if self._pool.used:
            logger.warning("%s: requeueing %d tasks", self._config.name, self._pool.used)
            self._pool.cancel_all(CancelReason.SHUTDOWN)  # if they are not being cancelled yet
            await self._pool.drain(_CANCEL_TIMEOUT, with_threads=False)
            for delivery in self._pool.running():
                logger.error(
                    "%s %s does not end when cancelled: requeueing it while it runs",
                    delivery.task_name,
                    delivery.lease.id,
                )
                if not self.dies(delivery.lease):
                    self._completer.submit(self._pool.put_back(delivery.lease))
        if await self._completer.drain(timeout):
            await self._parts.leases.drain(_LAST_CALLS)
            await self._parts.flows.drain(_LAST_CALLS)
        else:
            logger.error("%d outcomes could not be written", self._completer.waiting)
