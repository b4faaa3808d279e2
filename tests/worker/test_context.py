"""What a task's context does with progress that cannot be written."""

import asyncio
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

import ltq
from ltq import Context, Progress
from ltq.errors import BrokerError
from ltq.message import Lease
from tests.worker.doubles import make_lease


class Store:
    """Takes progress, unless it has another answer first."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[Progress] = []
        self.called = asyncio.Event()

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        self.called.set()
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        self.seen.append(progress)
        return answer

    async def next_call(self) -> None:
        self.called.clear()
        async with asyncio.timeout(5):
            await self.called.wait()


class Stand:
    """A context of task 1 with its store."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.store = Store(*answers)
        self.lost: list[Lease] = []
        message: Any = SimpleNamespace(id="1", task_name="mail:send")
        self.context = Context(message, make_lease(), cast(Any, self.store), self.lost.append)

    async def report(self, number: int) -> None:
        """Report from a thread, which does not wait until it is written."""
        called = asyncio.create_task(self.store.next_call())
        await asyncio.to_thread(self.context.progress_sync, number)
        await called


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (BrokerError("away"), "DEBUG", "progress of task 1 was not written: away"),
        (TypeError("a note"), "WARNING", "progress of task 1 cannot be written: a note"),
    ],
    ids=["the broker is away", "it cannot be encoded"],
)
async def test_what_is_not_written_is_logged_and_does_not_stop_what_follows(
    error: Exception, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "ltq.worker")
    stand = Stand(error)
    await stand.report(1)
    await stand.report(2)
    stand.context.close()
    assert stand.store.seen == [Progress(2)]
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [(level, text)]
    assert stand.lost == []


async def test_what_is_reported_after_a_pause_is_written_too() -> None:
    stand = Stand()
    await stand.report(1)
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})  # the writer has ended
    await stand.report(2)
    stand.context.close()
    assert stand.store.seen == [Progress(1), Progress(2)]


async def test_where_the_lease_is_lost_the_run_is_told() -> None:
    stand = Stand(False)
    await stand.report(1)
    stand.context.close()
    assert stand.lost == [make_lease()]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Progress("1"), "numbers must be finite"),  # type: ignore[arg-type]  # no number
        (Progress(math.nan), "numbers must be finite"),
        (Progress(1, math.inf), "numbers must be finite"),
        (Progress(1, 2, 5), "note must be a text"),  # type: ignore[arg-type]  # no text
    ],
    ids=str,
)
async def test_progress_that_nobody_could_read_is_not_written(
    wrong: Progress, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand()
    await stand.context.progress(wrong.current, wrong.total, wrong.note)
    await stand.report(2)
    stand.context.close()
    assert stand.store.seen == [Progress(2)]
    assert f"progress of task 1 cannot be written: {wrong!r} is not allowed: its {said}" in (
        caplog.messages
    )


async def test_a_report_after_the_event_loop_has_ended_says_that_the_run_is_over() -> None:
    def stand_of_another_loop() -> Stand:
        async def make() -> Stand:
            return Stand()

        return asyncio.run(make())

    def report() -> None:
        stand_of_another_loop().context.progress_sync(1)

    with pytest.raises(ltq.RunOverError, match="mail:send 1"):
        await asyncio.to_thread(report)


def test_there_is_none_outside_a_run() -> None:
    with pytest.raises(ltq.ConfigurationError, match=r"ltq.current\(\) was called outside"):
        ltq.current()
