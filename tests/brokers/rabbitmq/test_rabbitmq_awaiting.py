"""Waiting for a task that was sent while the store was away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

import ltq
from ltq.broker import Broker
from ltq.brokers.rabbitmq import RabbitBroker, _awaiting
from ltq.brokers.rabbitmq._sending import unstored
from ltq.brokers.rabbitmq._sending.unstored import Unstored
from ltq.errors import BrokerError, ResultTimeoutError, TaskNotFoundError
from ltq.message import Envelope, Finish, new_id
from ltq.state import Status
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


@pytest.fixture
def worker(broker: RabbitBroker) -> ltq.Worker:
    worker = ltq.Worker("mail", broker=broker)

    @worker.task
    async def add(a: int, b: int = 2) -> int:
        return a + b

    return worker


@pytest_asyncio.fixture(loop_scope="function")
async def other(rabbitmq_url: str, store: FlakyBroker) -> AsyncIterator[RabbitBroker]:
    """Another process, with the same store."""
    async with RabbitBroker(f"{rabbitmq_url}&state=memory://", store=store.clone()) as other:
        yield other


def envelope(name: str = "mail:add") -> Envelope:
    return Envelope(id=new_id(), queue=name, task_name=name, body=b"[[1],{}]", has_new_id=True)


class TestResult:
    async def test_it_comes_once_the_store_is_back(
        self, worker: ltq.Worker, store: FlakyBroker
    ) -> None:
        add = worker.tasks["mail:add"]
        async with worker:
            with store.fail() as fault:
                handles = [await add.send(number) for number in range(20)]
                results = asyncio.gather(*(handle.result(timeout=20) for handle in handles))
                await eventually(lambda: store.calls["ping"] > 2)
                assert not results.done()
                fault.heal()
            assert await results == [number + 2 for number in range(20)]

    async def test_also_if_another_process_takes_the_task(
        self, worker: ltq.Worker, store: FlakyBroker, other: RabbitBroker
    ) -> None:
        with store.fail():
            handle = await worker.tasks["mail:add"].send(1)
        waiting = asyncio.create_task(handle.wait(timeout=20))
        await eventually(lambda: store.calls["states"] > 3)
        assert not waiting.done()  # nobody has taken it out of RabbitMQ
        async with other.consumer(["mail:add"]) as consumer:
            (delivery,) = await other.claim(consumer, timeout=10)
            await other.finish([Finish(delivery.lease, Status.COMPLETED, b"3", result_ttl=60)])
        assert (await waiting).result == 3

    async def test_a_watch_begins_once_the_store_has_its_task(
        self, worker: ltq.Worker, store: FlakyBroker
    ) -> None:
        with store.fail():
            handle = await worker.tasks["mail:add"].send(1)
        async with worker:
            seen = [state.status async for state in handle.watch(timeout=20)]
        assert seen[-1] is Status.COMPLETED

    async def test_a_reader_may_give_up(self, worker: ltq.Worker, store: FlakyBroker) -> None:
        with store.fail():
            handle = await worker.tasks["mail:add"].send(1)
            with pytest.raises(ResultTimeoutError):
                await handle.result(timeout=0.2)
        async with worker:
            assert await handle.result(timeout=10) == 3

    async def test_who_sent_nothing_is_told_that_there_is_no_task(
        self, broker: RabbitBroker, other: RabbitBroker, store: FlakyBroker
    ) -> None:
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
        with pytest.raises(TaskNotFoundError):
            await other.wait(sent.queue, sent.id, timeout=5)


class TestNeverThere:
    async def test_one_that_becomes_no_task_here_is_not_waited_for(
        self, broker: RabbitBroker, store: FlakyBroker
    ) -> None:
        sent = [envelope(), envelope()]
        with store.fail():
            await broker.publish([replace(one, max_pending=1) for one in sent])
        waiting = asyncio.create_task(broker.wait(sent[1].queue, sent[1].id, timeout=20))
        async with broker.consumer(["mail:add"]):
            with pytest.raises(TaskNotFoundError):
                await waiting

    async def test_nor_for_ever_is_one_that_another_process_took(
        self,
        broker: RabbitBroker,
        store: FlakyBroker,
        outside: Outside,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(_awaiting, "STORED_WITHIN", 0.3)
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
        waiting = asyncio.create_task(broker.wait(sent.queue, sent.id, timeout=20))
        before = store.calls["states"]
        await eventually(lambda: store.calls["states"] > before + 5)
        assert not waiting.done()  # it is in RabbitMQ, where nobody takes it
        await outside.delete(f"{outside.prefix}.mail")
        with pytest.raises(TaskNotFoundError):
            await waiting


class TestStoreAgainAway:
    async def test_nothing_was_told_so_the_wait_goes_on(
        self, broker: RabbitBroker, store: FlakyBroker, worker: ltq.Worker
    ) -> None:
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
        with store.fail("watch", next=1):
            waiting = asyncio.create_task(broker.wait(sent.queue, sent.id, timeout=20))
            async with worker:
                assert (await waiting).result == b"3"

    async def test_a_look_that_fails_is_repeated(
        self, broker: RabbitBroker, store: FlakyBroker, worker: ltq.Worker
    ) -> None:
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
        with store.fail("states", next=2):
            waiting = asyncio.create_task(broker.wait(sent.queue, sent.id, timeout=20))
            await eventually(lambda: store.calls["states"] > 2)
        async with worker:
            assert (await waiting).result == b"3"

    async def test_a_refusal_is_told(self, broker: RabbitBroker, store: FlakyBroker) -> None:
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
        await eventually(lambda: not broker._here().is_store_away)
        refusal = RefusedError("no such right")
        with store.fail("states", error=refusal), pytest.raises(BrokerError, match="no such right"):
            await broker.wait(sent.queue, sent.id, timeout=20)


class RefusedError(BrokerError):
    """A store that answers, and does not want to."""

    is_away = False
    is_refusal = True


class TestClosed:
    async def test_who_waits_is_told(self, rabbitmq_url: str) -> None:
        store = FlakyBroker(Broker.from_url(f"memory://{new_id()}"))
        broker = RabbitBroker(f"{rabbitmq_url}&state=memory://", store=store)
        sent = envelope()
        with store.fail():
            await broker.publish([sent])
            waiting = asyncio.create_task(broker.wait(sent.queue, sent.id, timeout=20))
            await eventually(lambda: store.calls["ping"] > 2)
            await broker.aclose()
        with pytest.raises(BrokerError, match="was closed"):
            await waiting


class TestUnstored:
    def test_the_oldest_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unstored, "_MOST_KEPT", 2)
        sent, kept = [envelope() for _ in range(3)], Unstored()
        kept.add(sent)
        assert [(one.queue, one.id) in kept for one in sent] == [False, True, True]
        kept.discard([("mail:add", sent[1].id), ("mail:add", "unknown")])
        assert [(one.queue, one.id) in kept for one in sent] == [False, False, True]
