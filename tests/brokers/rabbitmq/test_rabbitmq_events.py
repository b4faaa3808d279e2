"""What other programs are told of tasks."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractQueue
from msgspec.structs import replace

import ltq
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._telling import teller
from ltq.brokers.rabbitmq._telling.events import MOST_RESULT, Event
from ltq.message import Envelope, Finish
from ltq.state import Status
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


class Listener:
    """A queue of somebody else's, bound to the events."""

    def __init__(self, queue: AbstractQueue) -> None:
        self._queue = queue
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def hears(self, *kinds: str) -> list[dict[str, Any]]:
        """The events, once as many have come."""

        async def is_complete() -> bool:
            while (message := await self._queue.get(fail=False)) is not None:
                await message.ack()
                self.heard.append((message.routing_key or "", json.loads(message.body)))
            return len(self.heard) >= len(kinds)

        await eventually(is_complete)
        assert [event["event"] for _, event in self.heard] == [*kinds]
        return [event for _, event in self.heard]


@pytest_asyncio.fixture(loop_scope="function")
async def listener(broker: RabbitBroker, outside: Outside) -> AsyncIterator[Listener]:
    await broker.ping()  # whoever comes first declares the exchange
    queue = await outside.channel.declare_queue(exclusive=True)
    await queue.bind(f"{outside.prefix}.events", "mail.#")
    yield Listener(queue)


@pytest.fixture
def worker(broker: RabbitBroker) -> ltq.Worker:
    return ltq.Worker("mail", broker=broker)


class TestEvents:
    async def test_of_a_task_that_completes(self, worker: ltq.Worker, listener: Listener) -> None:
        @worker.task
        async def add(a: int, b: int) -> int:
            return a + b

        async with worker:
            handle = await add.send(1, 2)
            assert await handle.result(timeout=10) == 3
            sent, began, ended = await listener.hears("enqueued", "started", "completed")
        assert [key for key, _ in listener.heard] == [
            *("mail.add.enqueued", "mail.add.started", "mail.add.completed"),
        ]
        common = {"id": handle.id, "task": "mail:add", "queue": "mail:add"}
        assert common.items() <= sent.items()
        assert (sent["attempt"], sent["worker"]) == (0, None)
        assert (began["attempt"], ended["attempt"]) == (1, 1)
        assert (ended["result"], ended["error"]) == (3, None)
        state = await handle.state()
        assert began["worker"] == ended["worker"] == state.worker

    async def test_of_one_that_is_tried_again_and_fails(
        self, worker: ltq.Worker, listener: Listener
    ) -> None:
        @worker.task(max_tries=2, backoff=0.01)
        async def fail() -> None:
            raise OSError("no route")

        async with worker:
            handle = await fail.send()
            await handle.wait(timeout=10)
            heard = await listener.hears(
                *("enqueued", "started", "retried", "started", "failed", "dead")
            )
        assert [one["attempt"] for one in heard] == [0, 1, 1, 2, 2, 2]
        assert heard[4]["error"] == "OSError: no route"

    async def test_of_one_that_is_cancelled(self, worker: ltq.Worker, listener: Listener) -> None:
        @worker.task
        async def hang() -> None:
            await asyncio.Event().wait()

        handle = await hang.send()
        assert await handle.cancel()
        await listener.hears("enqueued", "cancelled")

    async def test_of_one_that_is_rejected(self, worker: ltq.Worker, listener: Listener) -> None:
        @worker.task
        async def refuse() -> None:
            raise ltq.RejectError("not for me")

        async with worker:
            await (await refuse.send()).wait(timeout=10)
            heard = await listener.hears("enqueued", "started", "rejected", "dead")
        assert heard[2]["error"] == "not for me"

    async def test_a_very_large_result_is_left_out(
        self, worker: ltq.Worker, listener: Listener
    ) -> None:
        @worker.task
        async def large() -> str:
            return "x" * MOST_RESULT

        async with worker:
            await (await large.send()).result(timeout=10)
            heard = await listener.hears("enqueued", "started", "completed")
        assert heard[2]["result"] is None

    async def test_so_is_one_that_is_no_json(
        self, broker: RabbitBroker, listener: Listener
    ) -> None:
        """As of a program that claims by itself."""
        sent = Envelope(id="a", queue="mail:raw", task_name="mail:raw", body=b"x")
        await broker.publish([sent])
        async with broker.consumer(["mail:raw"]) as consumer:
            (delivery,) = await broker.claim(consumer)
            await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"\xff", result_ttl=60)])
        heard = await listener.hears("enqueued", "started", "completed")
        assert heard[2]["result"] is None

    async def test_of_a_cancellation_that_came_too_late_nothing_is_told(
        self, broker: RabbitBroker, listener: Listener
    ) -> None:
        sent = Envelope(id="a", queue="mail:raw", task_name="mail:raw", body=b"x")
        await broker.publish([sent])
        assert await broker.cancel("mail:raw", "a", 60)
        assert not await broker.cancel("mail:raw", "a", 60)
        await broker.publish([replace(sent, id="b")])
        await listener.hears("enqueued", "cancelled", "enqueued")

    async def test_of_too_many_runs_the_ends_of_the_oldest_are_not_told(
        self, broker: RabbitBroker, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(teller, "_MOST_KEPT", 1)
        sent = Envelope(id="a", queue="mail:raw", task_name="mail:raw", body=b"x")
        await broker.publish([sent, replace(sent, id="b")])
        async with broker.consumer(["mail:raw"]) as consumer:
            claimed = await broker.claim(consumer, 2)
            ends = [Finish(one.lease, Status.COMPLETED, b"1", result_ttl=60) for one in claimed]
            await broker.finish(ends)
        heard = await listener.hears("enqueued", "enqueued", "started", "started", "completed")
        assert heard[-1]["id"] == claimed[-1].lease.id

    async def test_what_others_send_is_told_once_it_is_in_the_store(
        self, broker: RabbitBroker, listener: Listener, outside: Outside
    ) -> None:
        async with broker.consumer(["mail:add"]) as consumer:
            await broker.claim(consumer)
            await outside.publish({"task": "mail:add", "id": "a"})
            (heard,) = await listener.hears("enqueued")
        assert heard["id"] == "a"

    async def test_so_is_what_is_sent_while_the_store_is_away(
        self, worker: ltq.Worker, store: FlakyBroker, listener: Listener
    ) -> None:
        @worker.task
        async def work() -> None: ...

        with store.fail():
            handle = await work.send()
        async with worker:
            heard = await listener.hears("enqueued", "started", "completed")
        assert {one["id"] for one in heard} == {handle.id}


class TestRoutingKey:
    def test_dots_within_names_are_none_between_words(self) -> None:
        event = Event(event="dead", id="a", task="a.b:c.d", queue="a.b:c.d", time=1.0)
        assert event.routing_key == "a-b.c-d.dead"
