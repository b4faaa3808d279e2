"""Looking for tasks that nobody runs goes on, whatever one look comes to."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ltq._worker.upkeep.lookout import FIRST_LOOKS, LOOK_EVERY, Lookout
from ltq.errors import BrokerError
from ltq.state import QueueStats
from tests.worker.doubles import soon


class Store:
    """A queue of which nobody runs the tasks, unless a look fails first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.pauses: list[float] = []
        self.over = asyncio.Event()

    async def queues(self) -> list[str]:
        if self.errors:
            raise self.errors.pop(0)
        return ["mail:send"]

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        lost = QueueStats(
            queue="mail:send",
            pending=2,
            delayed=0,
            working=0,
            dead=0,
            unserved={"mail:gone": 2},
            unserved_oldest=60.0,
        )
        return [lost for _ in queues]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == 4:
            self.over.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (BrokerError("away"), "DEBUG", "looking for tasks that nobody runs was skipped: away"),
        (ValueError("a bug"), "ERROR", "looking for tasks that nobody runs failed"),
    ],
)
async def test_a_look_that_fails_is_logged_and_the_next_one_tells(
    error: Exception, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "ltq.worker")
    store = Store(error)
    lookout = Lookout(
        cast(Any, store), ["mail:send"], sleep=store.sleep, jitter=lambda seconds: seconds
    )
    lookout.start()
    await soon(store.over)
    await lookout.aclose()
    assert store.pauses == [*FIRST_LOOKS, LOOK_EVERY, LOOK_EVERY]
    (failed, told) = caplog.records  # the third look has nothing new
    assert (failed.levelname, failed.getMessage()) == (level, text)
    assert told.getMessage().startswith("mail:gone: 2 waiting in queue mail:send, and no live")
