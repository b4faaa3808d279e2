"""Messages that are too old, by the broker's clock."""

from typing import Any

import pytest

from ltq.errors import RejectError
from ltq.message import Message
from ltq.middleware import MaxAge
from ltq.task import Task
from ltq.worker import Worker

SENT = 1_000_000.0


def make_task(**options: Any) -> Task[..., Any]:
    worker = Worker("shop", broker_url="memory://max-age")

    @worker.task(**options)
    async def pay() -> None: ...

    return pay


async def run(task: Task[..., Any], *, now: float, sent: float | None = SENT) -> bool:
    """Whether a message sent at `sent` runs at `now`."""
    message: Message[Any] = Message((), {}, task.name, enqueue_time=sent, dequeue_time=now)
    async with MaxAge()(message, task):
        return True


@pytest.mark.parametrize("age", [0.0, 29.999, 30.0])
async def test_what_is_young_enough_runs(age: float) -> None:
    assert await run(make_task(max_age=30), now=SENT + age)


@pytest.mark.parametrize("age", [30.001, 31.0, 1e9])
async def test_what_is_too_old_is_rejected(age: float) -> None:
    with pytest.raises(RejectError):
        await run(make_task(max_age=30), now=SENT + age)


async def test_the_reason_says_how_old_it_is_and_may_be() -> None:
    with pytest.raises(RejectError, match=r"^too old: sent 31\.500 s ago, max_age is 30 s$"):
        await run(make_task(max_age=30), now=SENT + 31.5)


async def test_a_clock_that_lags_rejects_nothing() -> None:
    assert await run(make_task(max_age=30), now=SENT - 3600)


async def test_without_max_age_no_age_is_too_old() -> None:
    assert await run(make_task(), now=SENT + 1e9)


async def test_what_was_not_sent_has_no_age() -> None:
    assert await run(make_task(max_age=30), now=SENT + 1e9, sent=None)


async def test_the_tasks_own_rejection_passes() -> None:
    message: Message[Any] = Message((), {}, "shop:pay", enqueue_time=SENT, dequeue_time=SENT)
    with pytest.raises(RejectError, match="a duplicate"):
        async with MaxAge()(message, make_task(max_age=30)):
            raise RejectError("a duplicate")


def test_it_implements_max_age() -> None:
    assert MaxAge.options == {"max_age"}
