"""Writing outcomes: together, and again until they are written."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Protocol

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock
from ltq._aio.service import Service
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Lease, Outcome, Receipt

logger = logging.getLogger("ltq.worker")

_MAX_BATCH = 500
"""Outcomes that one call writes, at most."""

_BACKOFF = 0.1, 1.5
"""Seconds until the next attempt to write, at first and at most."""


class Leases(Protocol):
    """The leases that the worker renews."""

    def release(self, lease: Lease) -> None:
        """Renew a lease no longer."""
        ...


class Completer(Service):
    """Group commit of outcomes: what ends while a call is under way goes out in the next.

    While the broker is away outcomes are kept, and written when it is back. A lease is released
    once its outcome is written, or refused because the lease was lost.
    """

    def __init__(self, settler: Settler, leases: Leases, *, clock: Clock = time.monotonic) -> None:
        super().__init__("ltq-completer", logger)
        self._settler = settler
        self._leases = leases
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._hurry = asyncio.Event()
        self._batcher: Batcher[Outcome, Receipt | None] = Batcher(
            self._finish, _MAX_BATCH, name=self.name
        )

    @property
    def waiting(self) -> int:
        """How many outcomes are not written yet."""
        return self._batcher.pending

    def submit(self, outcome: Outcome) -> None:
        """Write an outcome, soon."""
        self._batcher.submit(outcome)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait until all is written, at most `timeout` seconds; return whether it is.

        With a timeout an attempt is made at once, however long the pause after the last one is.
        """
        if timeout is not None:
            self._hurry.set()
        return await self._batcher.drain(timeout)

    async def aclose(self) -> None:
        """Give up what is not written yet."""
        await self._batcher.aclose()

    async def _finish(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        receipts = await self._write(outcomes)
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            self._leases.release(outcome.lease)
            if receipt is Receipt.STALE or receipt is Receipt.GONE:
                logger.warning(
                    "task %s: its outcome was refused (%s), it is not this worker's any more",
                    outcome.lease.id,
                    receipt.value,
                )
        return receipts

    async def _write(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        """Write them together, or one by one where one of them makes the call fail.

        None for one that cannot be written: its lease runs out, and it runs again.
        """
        try:
            return [*await self._until_answered(outcomes)]
        except Exception as error:
            if len(outcomes) > 1:
                logger.debug("%d outcomes cannot be written together: %s", len(outcomes), error)
                return [(await self._write([outcome]))[0] for outcome in outcomes]
            unexpected = None if isinstance(error, BrokerError) else error
            task_id = outcomes[0].lease.id
            logger.error(
                "task %s: its outcome cannot be written: %s", task_id, error, exc_info=unexpected
            )
            return [None]

    async def _until_answered(self, outcomes: list[Outcome]) -> list[Receipt]:
        """Write them once the broker can be reached. Raises an error that would come again."""
        backoff = ExponentialBackoff(*_BACKOFF)
        while True:
            try:
                receipts = await self._settler.finish(outcomes)
            except BrokerError as error:
                if error.is_refusal:
                    raise
                self._throttled.warning("%d outcomes wait to be written: %s", self.waiting, error)
            else:
                if self._throttled.over():
                    logger.info("outcomes are written again")
                return receipts
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff.next()):
                    await self._hurry.wait()
            self._hurry.clear()
