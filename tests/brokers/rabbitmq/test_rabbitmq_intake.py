"""What other programs publish, and what becomes of what can be no task."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pika
import pytest
import pytest_asyncio
from aio_pika.abc import HeadersType

import ltq
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._intake import door
from ltq.brokers.rabbitmq._server import copies, publisher
from ltq.message import Envelope, new_id
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


@pytest.fixture
def worker(broker: RabbitBroker) -> ltq.Worker:
    worker = ltq.Worker("mail", broker=broker)

    @worker.task
    async def add(a: int, b: int = 2) -> int:
        return a + b

    @worker.task(queue="mail:shared")
    async def shared(text: str) -> str:
        return text.upper()

    return worker


@pytest_asyncio.fixture(loop_scope="function")
async def running(worker: ltq.Worker, outside: Outside) -> AsyncIterator[ltq.Worker]:
    async with worker:
        await eventually(lambda: is_read(outside))
        yield worker


async def is_read(outside: Outside) -> bool:
    return await outside.look() == (0, 1)


async def result(broker: RabbitBroker, queue: str, task_id: str) -> bytes | None:
    """The result of a task that may not be in the store yet."""

    async def is_there() -> bool:
        return (await broker.states(queue, [task_id]))[0] is not None

    await eventually(is_there)
    return (await broker.wait(queue, task_id, timeout=10)).result


class TestCalls:
    async def test_a_task_is_named_and_given_arguments(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        await outside.publish({"task": "mail:add", "args": [1], "kwargs": {"b": 5}, "id": "a"})
        assert await result(broker, "mail:add", "a") == b"6"

    async def test_only_the_task_is_required(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        await outside.publish({"task": "mail:add"})

        async def is_rejected() -> bool:
            (stats,) = await broker.stats(["mail:add"])
            return stats.dead == 1

        await eventually(is_rejected)  # its arguments do not fit: that is the worker's affair

    async def test_each_without_an_id_is_another_task(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside, rabbitmq_server: str
    ) -> None:
        """Sent together with a copy of LTQ's own, and by a client that makes up no id."""
        await running.tasks["mail:add"].send(1)

        def publish() -> None:
            url = pika.URLParameters(f"{rabbitmq_server}%2F")
            with pika.BlockingConnection(url) as connection:
                for _ in range(2):
                    body = b'{"task": "mail:add", "args": [1]}'
                    connection.channel().basic_publish(
                        outside.prefix, f"{outside.prefix}.mail", body
                    )

        await asyncio.to_thread(publish)

        async def have_run() -> bool:
            tasks = (await broker.tasks("mail:add", status="completed")).items
            return len(tasks) == 3

        await eventually(have_run)

    async def test_the_message_id_serves_as_id(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        await outside.publish({"task": "mail:add", "args": [2]}, message_id="m-1")
        assert await result(broker, "mail:add", "m-1") == b"4"

    async def test_a_task_of_a_shared_queue_is_found(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        await outside.publish({"task": "mail:shared", "args": ["a"], "id": "a"})
        assert await result(broker, "mail:shared", "a") == b'"A"'
        await outside.publish(
            {"task": "mail:shared", "args": ["b"], "id": "b", "queue": "mail:shared"}
        )
        assert await result(broker, "mail:shared", "b") == b'"B"'

    async def test_delay_and_priority_count(self, broker: RabbitBroker, outside: Outside) -> None:
        async with broker.consumer(["mail:add"]) as consumer:
            await broker.claim(consumer)
            for name, more in (("low", {}), ("high", {}), ("later", {"delay": 60})):
                priority = name if name != "later" else "normal"
                await outside.publish(
                    {"task": "mail:add", "id": name, "priority": priority, **more}
                )

            async def all_there() -> bool:
                return None not in await broker.states("mail:add", ["low", "high", "later"])

            await eventually(all_there)
            claimed = await broker.claim(consumer, 10)
            assert [one.lease.id for one in claimed] == ["high", "low"]

    def test_an_empty_message_id_is_none(self) -> None:
        """Some clients send the property so; the one of these tests puts another in its place."""
        assert door.read(b'{"task": "mail:add"}', "").id is None

    async def test_a_second_one_with_the_same_id_is_dropped(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        for number in (1, 5):
            await outside.publish({"task": "mail:add", "args": [number], "id": "a"})
        assert await result(broker, "mail:add", "a") == b"3"
        await eventually(outside.has(0))
        assert await outside.take_dead() is None
        assert await result(broker, "mail:add", "a") == b"3"


class TestDead:
    @pytest.mark.parametrize(
        ("body", "reason", "named"),
        [
            (b"{", "unreadable", "truncated"),
            (b"\xff\xfe", "unreadable", ""),
            ([1], "unreadable", "object"),
            ({"args": []}, "unreadable", "task"),
            ({"task": "mail add"}, "unreadable", "task"),
            ({"task": "mail:add", "args": {}}, "unreadable", "args"),
            ({"task": "mail:add", "delay": -1}, "unreadable", "delay"),
            ({"task": "mail:add", "priority": "urgent"}, "unreadable", "urgent"),
            ({"task": "mail:add", "colour": "red"}, "unreadable", "colour"),
            ({"task": "mail:add", "id": "a b"}, "unreadable", "id"),
            (b'{"task":"mail:add","args":' + b"[" * 5000 + b"]" * 5000 + b"}", "unreadable", ""),
            ({"task": "mail:nope"}, "unknown-task", "mail:nope"),
            ({"task": "other:task"}, "unknown-task", "other:task"),
            ({"task": "mail:add", "queue": "mail:no"}, "unknown-task", "in the queue 'mail:no'"),
        ],
        ids=lambda value: str(value)[:40],
    )
    async def test_it_has_its_reason(
        self, running: ltq.Worker, outside: Outside, body: object, reason: str, named: str
    ) -> None:
        await outside.publish(body)
        await eventually(outside.has(0))
        await eventually(lambda: has_dead(outside, reason, named))

    async def test_a_message_id_that_can_be_no_id_is_named(
        self, running: ltq.Worker, outside: Outside
    ) -> None:
        await outside.publish({"task": "mail:add", "args": [1]}, message_id="{3F25}")
        await eventually(
            lambda: has_dead(outside, "unreadable", "the property message_id '{3F25}' can be no id")
        )

    async def test_one_that_is_too_large(self, running: ltq.Worker, outside: Outside) -> None:
        await outside.publish({"task": "mail:add", "args": ["x" * (20 << 20)]})
        await eventually(lambda: has_dead(outside, "too-large", str(copies.LARGEST)))

    async def test_a_large_one_has_more_time(
        self, running: ltq.Worker, outside: Outside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else one that takes longer than all others may would be tried for ever."""
        await outside.publish({"task": "mail:add", "args": [1], "id": "a"})
        await eventually(outside.has(0))
        monkeypatch.setattr(publisher, "PUBLISH_WITHIN", 0.001)
        await outside.publish({"task": "mail:add", "args": ["x" * (20 << 20)]})
        await eventually(lambda: has_dead(outside, "too-large", str(copies.LARGEST)))

    async def test_the_next_one_is_not_held_up(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        await outside.publish(b"{")
        await outside.publish({"task": "mail:add", "args": [1], "id": "a"})
        assert await result(broker, "mail:add", "a") == b"3"

    @pytest.mark.parametrize(
        ("headers", "body", "reason"),
        [
            ({"x-ltq-version": 3}, b"", "other-version"),
            ({}, b"", "other-version"),
            ({"x-ltq-version": 1}, b"nonsense", "unreadable"),
        ],
    )
    async def test_a_copy_of_another_kind(
        self,
        running: ltq.Worker,
        outside: Outside,
        headers: HeadersType,
        body: bytes,
        reason: str,
    ) -> None:
        exchange = await outside.channel.get_exchange(outside.prefix)
        message = aio_pika.Message(body, headers=headers, content_type=copies.CONTENT_TYPE)
        await exchange.publish(message, f"{outside.prefix}.mail")
        await eventually(lambda: has_dead(outside, reason, ""))

    async def test_a_copy_that_came_late(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        """The store may have had it: it is not run, and not lost."""
        late = copies.marked(
            Envelope(id=new_id(), queue="mail:add", task_name="mail:add", body=b"[[1],{}]")
        )
        exchange = await outside.channel.get_exchange(outside.prefix)
        for is_alone in (False, True):
            message = aio_pika.Message(
                copies.encode(late, 1000.0, is_alone=is_alone),
                headers={copies.VERSION_HEADER: copies.VERSION},
                content_type=copies.CONTENT_TYPE,
            )
            await exchange.publish(message, f"{outside.prefix}.mail")
            if not is_alone:
                await eventually(lambda: has_dead(outside, "late", "the store may have had it"))
        assert await result(broker, "mail:add", late.id) == b"3"

    async def test_a_late_copy_of_a_task_that_is_there_is_none(
        self, running: ltq.Worker, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        known = copies.marked(
            Envelope(id=new_id(), queue="mail:add", task_name="mail:add", body=b"[[1],{}]")
        )
        await store.publish([known])
        exchange = await outside.channel.get_exchange(outside.prefix)
        message = aio_pika.Message(
            copies.encode(known, 1000.0, is_alone=False),
            headers={copies.VERSION_HEADER: copies.VERSION},
            content_type=copies.CONTENT_TYPE,
        )
        await exchange.publish(message, f"{outside.prefix}.mail")
        await eventually(outside.has(0))
        assert await result(broker, "mail:add", known.id) == b"3"
        assert await outside.take_dead() is None

    async def test_one_over_which_the_store_fails_lets_others_pass(
        self,
        broker: RabbitBroker,
        store: FlakyBroker,
        outside: Outside,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        publish = store.publish

        async def picky(envelopes: list[Envelope]) -> object:
            if any(one.id == "bad" for one in envelopes):
                raise UnicodeError("no such text")
            return await publish(envelopes)

        async with broker.consumer(["mail:add"]) as consumer:
            await broker.claim(consumer)
            monkeypatch.setattr(store, "publish", picky)
            for name in ("a", "bad", "b"):
                await outside.publish({"task": "mail:add", "id": name})
            await eventually(lambda: has_dead(outside, "refused", "no such text"))
            claimed = await broker.claim(consumer, 10, timeout=5)
            while len(claimed) < 2:
                claimed += await broker.claim(consumer, 10, timeout=5)
        assert {one.lease.id for one in claimed} == {"a", "b"}


class TestStoreAway:
    async def test_it_waits_and_is_not_lost(
        self, running: ltq.Worker, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        with store.fail(["send", "queues", "ping"]) as fault:
            await outside.publish({"task": "mail:add", "args": [1], "id": "a"})
            await eventually(lambda: store.calls["ping"] > 2)
            fault.heal()
        assert await result(broker, "mail:add", "a") == b"3"


class TestQueueDeleted:
    async def test_sends_and_workers_make_it_again(
        self, running: ltq.Worker, broker: RabbitBroker, outside: Outside
    ) -> None:
        task = running.tasks["mail:add"]
        assert await (await task.send(1)).result(timeout=10) == 3
        await outside.delete(f"{outside.prefix}.mail")
        await asyncio.gather(*[task.send(number) for number in range(20)])
        await eventually(lambda: is_read(outside))


class TestDeadQueueDeleted:
    async def test_it_is_made_again(self, running: ltq.Worker, outside: Outside) -> None:
        await outside.publish(b"{")
        await eventually(lambda: has_dead(outside, "unreadable", ""))
        await outside.delete(f"{outside.prefix}.dead")
        await outside.publish(b"[")
        await eventually(outside.has(0))

        async def is_there() -> bool:
            return await outside.look("dead") == (1, 0)

        await eventually(is_there)


async def has_dead(outside: Outside, reason: str, named: str) -> bool:
    """Whether the next dead message has this reason, and a text that names this."""
    message = await outside.take_dead()
    if message is None:
        return False
    assert message.headers["x-ltq-reason"] == reason
    assert named in str(message.headers["x-ltq-text"])
    assert message.headers["x-ltq-queue"] == f"{outside.prefix}.mail"
    return True
