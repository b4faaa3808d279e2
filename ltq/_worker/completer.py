"""Writing outcomes: in batches, repeated until the broker has answered."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.batcher import Batcher
from ltq._aio.clock import Clock
from ltq._aio.service import Service
from ltq._worker.protocols import FlowListener, HeldLeases
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Finish, Outcome, Receipt

logger = logging.getLogger("ltq.worker")

_MAX_BATCH = 500
"""Most outcomes that one call writes."""

_BACKOFF = 0.1, 1.5
"""Seconds until the next attempt to write: the first pause and the longest."""

_REFUSED_BACKOFF = 0.1, 15.0
"""The same for an outcome that was refused."""

_OK = Receipt.OK  # Python 3.11 takes as long to look up a member as for three calls

_LOST = frozenset({Receipt.STALE, Receipt.GONE})
"""What is answered for a lease that was lost."""

_BUSY_PAUSE = 1.0
"""Most seconds between two tries to write one that others hold up."""

_REFUSALS = 3
"""How often an outcome is refused until another is written in its place."""


Substitute = Callable[[Outcome, Exception], Outcome]


class Completer(Service):
    """Group commit of outcomes: those that arrive during one call share the next.

    While the broker is away outcomes are kept, and written when it is back. Those of each shard are
    written by themselves: one that is away holds up no other. An outcome that the broker refuses,
    because it is too large for instance, does not hold up the others: it is tried again beside
    them, and in the end replaced by one that says so. A lease is released once its outcome is
    written, or answered that the lease was lost. `substitute(outcome, error)` makes the outcome
    that says so. `flows` is told of each outcome that is written and that something follows from.
    """

    def __init__(
        self,
        settler: Settler,
        leases: HeldLeases,
        *,
        substitute: Substitute,
        flows: FlowListener | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("ltq-completer", logger)
        self._settler = settler
        self._new_writer = partial(_Writer, settler, leases, substitute, flows, clock)
        self._writers: dict[str, _Writer] = {}
        """By shard."""
        self._of_queues: dict[str, Callable[[Outcome], None]] = {}
        """By queue, `submit` of its writer: this spares a question for each outcome."""

    @property
    def waiting(self) -> int:
        """How many outcomes are not written yet."""
        return sum(writer.waiting for writer in self._writers.values())

    def submit(self, outcome: Outcome) -> None:
        """Write an outcome soon, in the background."""
        queue = outcome.lease.queue
        (self._of_queues.get(queue) or self._submit_to(queue))(outcome)

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until all is written; return whether it is.

        With a timeout the next attempt is made at once instead of after its pause.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while running := [one for one in self._writers.values() if one.is_running]:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            if not all(await asyncio.gather(*(writer.drain(left) for writer in running))):
                return False
        return True

    def unwritten(self) -> list[Outcome]:
        """The outcomes that are not written yet, or may be. From any thread."""
        return [one for writer in [*self._writers.values()] for one in writer.unwritten()]

    def resubmit(self) -> None:
        """Write again what was cut off when all asyncio tasks were cancelled."""
        for writer in self._writers.values():
            writer.resubmit()

    @property
    def is_running(self) -> bool:
        """Whether outcomes are being written."""
        return any(writer.is_running for writer in self._writers.values())

    def stop(self) -> None:
        """Drop outcomes that are not written yet."""
        for writer in self._writers.values():
            writer.stop()

    async def aclose(self) -> None:
        """Drop outcomes that are not written yet, and wait for the calls in progress to end."""
        await asyncio.gather(*(writer.aclose() for writer in self._writers.values()))

    def _submit_to(self, queue: str) -> Callable[[Outcome], None]:
        shard = self._settler.shard(queue)
        writer = self._writers.get(shard)
        if writer is None:
            writer = self._writers[shard] = self._new_writer()
        submit = self._of_queues[queue] = writer.submit
        return submit


class _Writer(Service):
    """Writes the outcomes of one shard."""

    def __init__(
        self,
        settler: Settler,
        leases: HeldLeases,
        substitute: Substitute,
        flows: FlowListener | None,
        clock: Clock,
    ) -> None:
        super().__init__("ltq-completer", logger)
        self._settler = settler
        self._leases = leases
        self._substitute = substitute
        self._flows = flows
        self._throttled = ThrottledLogger(logger, clock=clock)
        self._hurry = asyncio.Event()
        self._batcher: Batcher[Outcome, Receipt | None] = Batcher(
            self._finish, _MAX_BATCH, name=self.name
        )
        self.submit: Callable[[Outcome], None] = self._batcher.add
        """See `Completer.submit`."""

    @property
    def waiting(self) -> int:
        """How many outcomes are not written yet."""
        return self._batcher.pending + len(self._tasks)

    async def drain(self, timeout: float | None = None) -> bool:
        """See `Completer.drain`."""
        if timeout is not None:
            self._hurry.set()
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        if not await self._batcher.drain(timeout):
            return False
        return await super().drain(None if deadline is None else max(0.0, deadline - loop.time()))

    def unwritten(self) -> list[Outcome]:
        """See `Completer.unwritten`."""
        return self._batcher.unanswered()

    def resubmit(self) -> None:
        """See `Completer.resubmit`."""
        for outcome in self._batcher.take_cut():
            self.submit(outcome)

    @property
    def is_running(self) -> bool:
        """Whether outcomes are being written."""
        return self._batcher.is_running or bool(self._tasks)

    def stop(self) -> None:
        """See `Completer.stop`."""
        self._batcher.stop()

    async def aclose(self) -> None:
        """See `Completer.aclose`."""
        await self._batcher.aclose()
        await super().aclose()

    async def _finish(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        receipts, release = await self._write(outcomes), self._leases.release
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            is_last = type(outcome) is Finish and not (outcome.flow or outcome.follow)
            if receipt is _OK and is_last:  # as nearly all are: nothing follows
                release(outcome.lease)
            elif receipt is not None:
                self._answered(outcome, receipt)
        return receipts

    def _answered(self, outcome: Outcome, receipt: Receipt) -> None:
        self._leases.release(outcome.lease)
        if receipt is Receipt.ARRIVED:
            return
        if receipt is _OK:
            if isinstance(outcome, Finish) and (outcome.flow or outcome.follow) and self._flows:
                self._flows.wrote(outcome)
            return
        if self._flows is not None:
            self._flows.dropped(outcome)
        if receipt in _LOST:
            logger.warning(
                "task %s: the broker refused its outcome (%s), another worker may have it",
                outcome.lease.id,
                receipt.value,
            )

    async def _write(self, outcomes: list[Outcome]) -> list[Receipt | None]:
        """Write outcomes together; if the call fails because of one of them, one by one.

        The receipt of an outcome that is refused is None: `_write_refused` goes on with it.
        """
        try:
            return [*await self._until_answered(outcomes)]
        except Exception as error:
            if len(outcomes) > 1:
                logger.debug("%d outcomes cannot be written together: %s", len(outcomes), error)
                return [(await self._write([outcome]))[0] for outcome in outcomes]
            self._spawn(self._write_refused(outcomes[0], error), "refused")
            return [None]

    async def _write_refused(self, outcome: Outcome, refusal: Exception) -> None:
        """Write an outcome that was refused once, or one in its place, without end."""
        backoff = ExponentialBackoff(*_REFUSED_BACKOFF)
        refusals, unwritten = 1, [outcome]
        while True:
            is_busy = isinstance(refusal, BrokerError) and refusal.is_busy
            await asyncio.sleep(min(backoff.next(), _BUSY_PAUSE) if is_busy else backoff.next())
            for candidate in unwritten:
                try:
                    (receipt,) = await self._until_answered([candidate])
                except Exception as error:
                    refusal = error
                else:
                    self._answered(candidate, receipt)
                    if candidate is not outcome and self._flows is not None:
                        self._flows.dropped(outcome)
                    return
            refusals += not (isinstance(refusal, BrokerError) and refusal.is_busy)
            self._throttled.warning(
                "task %s: its outcome is refused: %s", outcome.lease.id, refusal
            )
            if refusals == _REFUSALS and len(unwritten) == 1:
                unwritten.append(self._substitute(outcome, refusal))
                unexpected = None if isinstance(refusal, BrokerError) else refusal
                text = "task %s: its outcome cannot be written, it counts as failed: %s"
                logger.error(text, outcome.lease.id, refusal, exc_info=unexpected)

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
