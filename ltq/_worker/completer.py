"""Writing outcomes: in batches, repeated until the broker has answered."""

import asyncio
import logging
import time
from contextlib import suppress

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock
from ltq._aio.service import Service
from ltq._worker.protocols import HeldLeases
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Outcome, Receipt

logger = logging.getLogger("ltq.worker")

_MAX_BATCH = 500
"""Most outcomes that one call writes."""

_BACKOFF = 0.1, 1.5
"""Seconds until the next attempt to write: the first pause and the longest."""


class Completer(Service):
    """Group commit of outcomes: those that arrive during one call share the next.

    While the broker is away outcomes are kept, and written when it is back. A lease is released
    once its outcome is written, or refused because the lease was lost.
    """

    def __init__(
        self, settler: Settler, leases: HeldLeases, *, clock: Clock = time.monotonic
    ) -> None:
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
        """Write an outcome soon, in the background."""
        self._batcher.submit(outcome)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until all is written; return whether it is.

        With a timeout the next attempt is made at once instead of after its pause.
        """
        if timeout is not None:
            self._hurry.set()
        return await self._batcher.drain(timeout)

    def unwritten(self) -> list[Outcome]:
        """The outcomes that are not written yet, or may be. From any thread."""
        return self._batcher.unanswered()

    def resubmit(self) -> None:
        """Write again what was cut off when all asyncio tasks were cancelled."""
        for outcome in self._batcher.take_cut():
            self.submit(outcome)

    @property
    def is_running(self) -> bool:
        """Whether outcomes are being written."""
        return self._batcher.is_running

    def stop(self) -> None:
        """Drop outcomes that are not written yet."""
        self._batcher.stop()

    async def aclose(self) -> None:
        """Drop outcomes that are not written yet, and wait for the call in progress to end."""
        await self._batcher.aclose()

    async def _finish(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        receipts = await self._write(outcomes)
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            self._leases.release(outcome.lease)
            if receipt is Receipt.STALE or receipt is Receipt.GONE:
                logger.warning(
                    "task %s: the broker refused its outcome (%s), another worker may have it",
                    outcome.lease.id,
                    receipt.value,
                )
        return receipts

    async def _write(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        """Write outcomes together; if the call fails because of one of them, one by one.

        The receipt of an outcome that cannot be written is None: the lease of its task runs out,
        and the task runs again.
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
        """Write outcomes, repeating the call while the broker cannot be reached.

        Raises errors that a repeated call would raise again.
        """
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
