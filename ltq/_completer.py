"""Writing outcomes down: together, and until they are written."""

import asyncio
import logging
import random
from collections.abc import Callable

from ltq._batcher import Batcher
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.message import Lease, Outcome, Receipt

logger = logging.getLogger("ltq.worker")

BATCH = 500

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.5


class Completer:
    """Group commit of outcomes: what ends while a call is under way goes out in the next.

    While the broker is away outcomes are kept, and written when it is back. `settled` is called
    with each lease once its outcome is written, or refused because the lease was lost.
    """

    def __init__(self, settler: Settler, settled: Callable[[Lease], None]) -> None:
        self._settler = settler
        self._settled = settled
        self._batcher: Batcher[Outcome, Receipt] = Batcher(self._finish, BATCH)

    @property
    def waiting(self) -> int:
        """How many outcomes are not written yet."""
        return self._batcher.pending

    def submit(self, outcome: Outcome) -> None:
        """Write an outcome, soon."""
        self._batcher.submit(outcome)

    async def drain(self, timeout: float | None) -> bool:
        """Wait until all is written, at most `timeout` seconds; tells whether it is."""
        return await self._batcher.join(timeout)

    async def _finish(self, outcomes: list[Outcome]) -> list[Receipt]:
        receipts = await self._write(outcomes)
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            self._settled(outcome.lease)
            if receipt is Receipt.STALE or receipt is Receipt.GONE:
                logger.warning(
                    "task %s: its outcome was refused (%s), it is not this worker's any more",
                    outcome.lease.id,
                    receipt.value,
                )
        return receipts

    async def _write(self, outcomes: list[Outcome]) -> list[Receipt]:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._settler.finish(outcomes)
            except BrokerError as error:
                logger.warning("%d outcomes wait to be written: %s", len(outcomes), error)
            except Exception:
                logger.exception("%d outcomes cannot be written together", len(outcomes))
                return [await self._write_one(outcome) for outcome in outcomes]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _write_one(self, outcome: Outcome) -> Receipt:
        """One that spoils its group must not take the others with it: its lease runs out."""
        try:
            return (await self._settler.finish([outcome]))[0]
        except Exception:
            logger.exception("task %s: its outcome cannot be written", outcome.lease.id)
            return Receipt.STALE
