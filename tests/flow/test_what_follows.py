"""What follows a run is sent once, whatever fails on the way, and who saw it hears of that."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import ltq
from ltq import Message, Middleware, Task
from ltq._flow.apart import carry_left
from ltq.broker import Broker
from ltq.broker.flows import pack_follow
from ltq.brokers.memory import MemoryBroker
from ltq.message import Finish
from ltq.names import new_id
from ltq.testing import FlakyBroker
from tests.conformance.factories import QUEUE, make_envelope, publish
from tests.eventually import eventually


class Watching(Middleware):
    """Notes what is sent, and what becomes of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, str]] = []

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> Any:
        message.ctx["seen"] = True
        self.seen.append(("send", message.id))
        return lambda enqueued: self.seen.append((enqueued, message.id))

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        assert message.ctx == {"seen": True}
        yield


class Desk:
    """A worker, and the one whose tasks follow."""

    def __init__(self) -> None:
        self.broker = FlakyBroker(MemoryBroker(f"memory://{new_id()}?history=0"))
        self.watching = Watching()
        self.pay = ltq.Worker("pay", broker=self.broker)
        self.post = ltq.Worker("post", broker=self.broker, middlewares=[self.watching])
        self.ran: Counter[str] = Counter()

        @self.post.task(result_ttl=0)
        async def note(text: str) -> None:
            self.ran[text] += 1

        self.note: Task[[str], None] = note

    async def settled(self, count: int) -> None:
        """Wait until so many have run, and no ending is left."""

        async def is_settled() -> bool:
            is_left = any([await self.broker.endings(name) for name in ("pay", "post")])
            return self.ran.total() >= count and not is_left

        await eventually(is_settled, description=f"the end of what follows: {self.ran}")


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("call", ["finish", "carried", "send"])
async def test_a_call_that_fails_or_whose_reply_is_lost_is_repeated(
    desk: Desk, call: Any, lost: bool
) -> None:
    @desk.pay.task(result_ttl=0)
    async def order(text: str) -> None:
        message = desk.note.message(text)
        await ltq.current().send_after(message)
        await ltq.current().send_after(message)  # one message is one task
        desk.broker.fail(on=call, next=2, lost=lost)

    async with desk.pay, desk.post:
        await order.send("a")
        await desk.settled(1)
        await desk.settled(1)
    assert desk.ran == {"a": 1}


async def test_there_may_be_many(desk: Desk) -> None:
    @desk.pay.task
    async def order(count: int) -> None:
        for number in range(count):
            await ltq.current().send_after(desk.note.message(str(number)))

    async with desk.pay, desk.post:
        await order.send(3000)
        await desk.settled(3000)
    assert desk.ran == {str(number): 1 for number in range(3000)}


async def test_of_runs_that_are_cancelled_just_those_send_that_completed(desk: Desk) -> None:
    chance = random.Random(7)

    @desk.pay.task
    async def order(text: str) -> None:
        await ltq.current().send_after(desk.note.message(text))
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)

    async with desk.pay, desk.post:
        handles = await order.send_many([order.message(str(number)) for number in range(200)])

        async def cancel(handle: ltq.Handle[None]) -> None:
            for _ in range(chance.randrange(200)):
                await asyncio.sleep(0)
            await handle.cancel()

        await asyncio.gather(*map(cancel, handles))
        states = [await handle.wait(10) for handle in handles]
        done = [str(i) for i, one in enumerate(states) if one.status is ltq.Status.COMPLETED]
        await desk.settled(len(done))
    assert 0 < len(done) < len(handles)
    assert desk.ran == dict.fromkeys(done, 1)


async def test_who_sees_a_message_hears_what_becomes_of_it(desk: Desk) -> None:
    @desk.pay.task
    async def order(text: str) -> None:
        await ltq.current().send_after(desk.note.with_options(id=text).message(text))
        if text == "fails":
            raise ValueError(text)

    async with desk.pay, desk.post:
        for text in ("new", "fails", "new"):
            await (await order.send(text)).wait(10)
            await eventually(lambda: desk.watching.seen[-1][0] != "send")
    assert desk.watching.seen == [
        *[("send", "new"), (True, "new")],
        *[("send", "fails"), (False, "fails")],
        *[("send", "new"), (False, "new")],
    ]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_so_many_bytes_are_read_at_once_and_no_more(
    store: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db?sync=normal"
    if store == "postgres":
        url = request.getfixturevalue("emptied_postgres_url")
    monkeypatch.setattr("ltq.brokers._rules.flows.endings._MOST_BYTES", 1000)
    async with Broker.from_url(url) as broker:
        ids = [(await publish(broker)).id for _ in range(5)]
        async with broker.consumer([QUEUE]) as consumer:
            claim = await consumer.claim(5)
        follow = pack_follow([make_envelope(queue="other:x", body=b"x" * 600, has_new_id=False)])
        ended = [
            Finish(one.lease, ltq.Status.COMPLETED, b"1", follow=follow) for one in claim.deliveries
        ]
        await broker.finish(ended)
        assert len(await broker.endings(QUEUE)) == 2
        assert {one.id for one in await broker.endings(QUEUE)} <= {*ids}
        assert await carry_left(broker, QUEUE) == 5
        assert await broker.endings(QUEUE) == []
