"""Tasks that have lost their place are requeued, now and then."""

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from ltq._worker.upkeep.repair import FIRST_REPAIR, REPAIR_EVERY, RepairLoop
from ltq.broker import Settler
from ltq.errors import BrokerError
from tests.worker.doubles import soon


class Stand:
    """A store to repair, and a sleep that takes no time until there were `rounds` of it."""

    def __init__(self, rounds: int, *answers: int | Exception) -> None:
        self.rounds = rounds
        self.answers = list(answers)
        self.calls: list[tuple[set[str], float, float]] = []
        self.pauses: list[float] = []
        self.over = asyncio.Event()

    async def repair(self, queues: Iterable[str], *, lease: float, every: float) -> int:
        self.calls.append((set(queues), lease, every))
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) > self.rounds:
            self.over.set()
            await asyncio.Event().wait()

    async def run(self) -> None:
        loop = RepairLoop(
            cast(Settler, self),
            {"mail:send"},
            lease=15.0,
            sleep=self.sleep,
            jitter=lambda seconds: seconds / 2,
        )
        loop.start()
        await soon(self.over)
        await loop.aclose()


async def test_first_soon_and_then_seldom() -> None:
    stand = Stand(3)
    await stand.run()
    assert stand.pauses == [FIRST_REPAIR / 2] + [REPAIR_EVERY / 2] * 3
    queues = {"mail:send"}
    assert stand.calls[0] == (queues, 15.0, FIRST_REPAIR)
    assert stand.calls[1:] == [(queues, 15.0, REPAIR_EVERY / 2)] * 2


async def test_what_was_repaired_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    await Stand(2, 0, 7).run()
    (record,) = caplog.records
    assert record.getMessage() == "repaired 7 tasks that had lost their place in a queue"


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (BrokerError("away"), "DEBUG", "repair skipped: away"),
        (ValueError("a bug"), "ERROR", "repair failed"),
    ],
)
async def test_a_failure_does_not_end_it(
    error: Exception, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "ltq.worker")
    stand = Stand(2, error)
    await stand.run()
    assert len(stand.calls) == 2
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, text)]
