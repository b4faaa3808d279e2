"""A block sends nothing to workers outside of it, unless it is told to."""

from collections.abc import Iterator
from typing import Any

import pytest

import ltq
import ltq.testing
from ltq import ConfigurationError, Status, Worker


@pytest.fixture
def outside() -> Iterator[Worker]:
    yield Worker("mail", broker_url="memory://outside")
    ltq.close_sync()


@pytest.fixture
def mail(outside: Worker) -> ltq.Task[[str], None]:
    @outside.task
    async def mail(to: str) -> None: ...

    return mail


async def pending(worker: Worker, queue: str) -> int:
    (stats,) = await worker.broker.stats([queue])
    return stats.pending


@pytest.mark.parametrize("how", ["send", "many", "thread"])
async def test_a_task_under_test_cannot_reach_a_real_broker(
    worker: Worker, outside: Worker, mail: ltq.Task[[str], None], how: str
) -> None:
    @worker.task
    async def order() -> None:
        if how == "send":
            await mail.send("ann@example.org")
        else:
            await mail.send_many([mail.message("ann@example.org")])

    @worker.task
    def order_in_a_thread() -> None:
        mail.send_sync("ann@example.org")

    async with ltq.testing.use(worker) as box:
        handle = await (order_in_a_thread if how == "thread" else order).send()
        await box.drain()
        state = await handle.state()
    assert state.status is Status.FAILED
    assert state.error == (
        "ConfigurationError: task 'mail:mail' would be sent to memory://outside, as its worker is "
        "not under test: put it into the block, ltq.testing.use(..., worker), or let it be sent, "
        "ltq.testing.use(..., allow=[worker])"
    )
    assert await pending(outside, mail.queue) == 0


async def test_nor_can_the_code_that_a_test_calls(
    worker: Worker, outside: Worker, mail: ltq.Task[[str], None]
) -> None:
    async with ltq.testing.use(worker):
        with pytest.raises(ConfigurationError, match="is not under test"):
            await mail.send("ann@example.org")
    await mail.send("ann@example.org")
    assert await pending(outside, mail.queue) == 1
    await outside.broker.clear(mail.queue)


def test_nor_without_an_event_loop(worker: Worker, mail: ltq.Task[[str], None]) -> None:
    with (
        ltq.testing.use(worker),
        pytest.raises(ConfigurationError, match="is not under test"),
    ):
        mail.send_sync("ann@example.org")


async def test_it_may_be_put_into_the_block(
    worker: Worker, outside: Worker, mail: ltq.Task[[str], None]
) -> None:
    async with ltq.testing.use(worker, outside) as box:
        await mail.send("ann@example.org")
        ltq.testing.assert_sent_once(mail, "ann@example.org")
        await box.drain(check=True)


async def test_or_into_another_block(
    worker: Worker, outside: Worker, mail: ltq.Task[[str], None]
) -> None:
    async with ltq.testing.use(outside), ltq.testing.use(worker):
        await mail.send("ann@example.org")
        ltq.testing.assert_sent_once(mail, "ann@example.org")


async def test_or_it_may_be_allowed(
    worker: Worker, outside: Worker, mail: ltq.Task[[str], None]
) -> None:
    @worker.task
    async def order() -> None:
        await mail.send("ann@example.org")

    async with ltq.testing.use(worker, allow=[outside]) as box:
        await order.send()
        await box.drain(check=True)
    assert await pending(outside, mail.queue) == 1
    await outside.broker.clear(mail.queue)


def test_what_is_no_worker_is_not_allowed(worker: Worker, outside: Worker) -> None:
    wrong: Any
    for wrong in ([5], 5, None, outside):
        with pytest.raises(ConfigurationError):
            ltq.testing.use(worker, allow=wrong)
