"""A send goes both ways; either may be away."""

import logging
import time

import pytest
from msgspec.structs import replace

from ltq import BrokerError
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._server.copies import LARGEST
from ltq.message import Envelope, Finish, Published, new_id
from ltq.state import Status
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually


def envelope(**changes: object) -> Envelope:
    made = Envelope(
        id=new_id(), queue="mail:send", task_name="mail:send", body=b"[[],{}]", has_new_id=True
    )
    return replace(made, **changes)


CREATED = [Published.CREATED]


class TestBothWays:
    async def test_a_plain_send_is_in_both(
        self, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        sent = envelope()
        assert await broker.publish([sent]) == CREATED
        assert (await store.state(sent.queue, sent.id)).status is Status.PENDING
        queue = await outside.channel.get_queue(f"{outside.prefix}.mail")
        copy = await queue.get()
        assert (copy.message_id, copy.type, copy.app_id) == (sent.id, sent.task_name, "ltq")
        await copy.nack()

    async def test_so_is_one_with_an_id_of_its_own(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        sent = envelope(has_new_id=False)
        assert await broker.publish([sent, sent]) == [Published.CREATED, Published.EXISTS]
        await eventually(outside.has(1))

    async def test_one_whose_arguments_count_once_is_in_the_store_alone(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        sent = envelope(fingerprint="f", unique_for=60.0)
        again = envelope(fingerprint="f", unique_for=60.0)
        answers = await broker.publish([sent]) + await broker.publish([again])
        assert answers == [Published.CREATED, Published.DUPLICATE]
        assert await outside.count() == 0

    async def test_one_that_finds_no_room_is_nowhere(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        answers = await broker.publish([envelope(max_pending=1), envelope(max_pending=1)])
        assert answers == [Published.CREATED, Published.FULL]
        await eventually(outside.has(1))

    async def test_the_same_message_sent_twice_in_a_call_is_one(self, broker: RabbitBroker) -> None:
        sent = envelope()
        assert await broker.publish([sent, sent]) == [Published.CREATED, Published.EXISTS]

    async def test_a_very_large_one_is_in_the_store_alone(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        assert await broker.publish([envelope(body=bytes(LARGEST + 1))]) == CREATED
        assert await outside.count() == 0

    async def test_it_takes_no_others_with_it(
        self, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        await broker.publish([envelope()])
        with store.fail():
            await broker.publish([envelope()])  # from now on the store is known to be away
            large = envelope(body=bytes(LARGEST + 1))
            with pytest.raises(BrokerError):
                await broker.publish([envelope(), large])
        # Of the second one there are two: when it was sent the store seemed to be there.
        await eventually(outside.has(4))


class TestOnce:
    async def test_the_copy_of_a_task_that_is_there_changes_nothing(
        self, broker: RabbitBroker, outside: Outside
    ) -> None:
        await broker.publish([envelope()])
        async with broker.consumer(["mail:send"]) as consumer:
            assert len(await broker.claim(consumer, 10)) == 1
            await eventually(outside.has(0))
            assert await broker.claim(consumer, 10) == []

    async def test_nor_does_that_of_one_that_has_run_and_is_forgotten(
        self, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        await broker.publish([envelope()])
        async with store.consumer(["mail:send"]) as consumer:
            (delivery,) = await store.claim(consumer)
            await store.finish([Finish(delivery.lease, Status.COMPLETED, result_ttl=0)])
        assert await outside.count() == 1
        async with broker.consumer(["mail:send"]) as consumer:
            assert await broker.claim(consumer, 10) == []
            await eventually(outside.has(0))
            assert await broker.claim(consumer, 10) == []


class TestStoreAway:
    async def test_rabbitmq_keeps_what_is_sent(
        self,
        broker: RabbitBroker,
        store: FlakyBroker,
        outside: Outside,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        sent = [envelope() for _ in range(20)]
        with store.fail(), caplog.at_level(logging.INFO, "ltq.broker"):
            for one in sent:
                assert await broker.publish([one]) == CREATED
        async with broker.consumer(["mail:send"]) as consumer:
            claimed = await broker.claim(consumer, 100, timeout=5)
            while len(claimed) < len(sent):
                claimed += await broker.claim(consumer, 100, timeout=5)
        assert {one.lease.id for one in claimed} == {one.id for one in sent}
        assert sum("is away" in record.message for record in caplog.records) == 1

    async def test_conditions_are_settled_at_its_intake(
        self, broker: RabbitBroker, store: FlakyBroker, outside: Outside
    ) -> None:
        sent = [envelope(max_pending=1) for _ in range(3)]
        once = [envelope(queue="mail:once", fingerprint="f", unique_for=60.0) for _ in range(3)]
        with store.fail():
            assert await broker.publish(sent + once) == CREATED * 6
        async with broker.consumer(["mail:send", "mail:once"]):
            await eventually(outside.has(0))

            async def is_settled() -> bool:
                found = await broker.stats(["mail:send", "mail:once"])
                return [one.pending for one in found] == [1, 1]

            await eventually(is_settled)
        dead: list[object] = []

        async def are_dead() -> bool:
            while (message := await outside.take_dead()) is not None:
                dead.append(message.headers["x-ltq-reason"])
            return len(dead) >= 2

        await eventually(are_dead)
        assert dead == ["full", "full"]

    async def test_a_delay_counts_from_the_send(
        self, broker: RabbitBroker, store: FlakyBroker
    ) -> None:
        sent = envelope(delay=30.0)
        with store.fail():
            await broker.publish([sent])
        before = time.time()
        async with broker.consumer(["mail:send"]):

            async def due() -> bool:
                (state,) = await broker.states("mail:send", [sent.id])
                return state is not None and abs((state.due_time or 0) - before - 30) < 5

            await eventually(due)


class TestRabbitAway:
    @pytest.fixture
    def nowhere(self) -> str:
        return "amqp://joe:s3cret@127.0.0.1:1/?state=memory://"

    async def test_the_store_has_it(
        self, nowhere: str, store: FlakyBroker, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with RabbitBroker(nowhere, store=store) as broker:
            for sent in (envelope(), envelope(), envelope(has_new_id=False)):
                assert await broker.publish([sent]) == CREATED
            await broker.ping()
            async with broker.consumer(["mail:send"]) as consumer:
                assert len(await broker.claim(consumer, 10)) == 3
        told = [one.message for one in caplog.records if "nothing listens there" in one.message]
        assert 1 <= len(told) <= 2  # of each connection once: sends, and the consumer's
        assert "s3cret" not in caplog.text

    async def test_both_away_is_an_error(self, nowhere: str, store: FlakyBroker) -> None:
        async with RabbitBroker(nowhere, store=store) as broker:
            with store.fail(), pytest.raises(BrokerError, match="neither RabbitMQ nor the store"):
                await broker.publish([envelope()])
            with store.fail(), pytest.raises(BrokerError, match="neither RabbitMQ nor the store"):
                await broker.publish([envelope(has_new_id=False)])


class TestMoving:
    async def test_a_parcel_says_nothing_of_rabbitmq(self, broker: RabbitBroker) -> None:
        sent = envelope()
        await broker.publish([sent])
        (parcel,) = await broker.pack("mail:send", [sent.id])
        assert parcel is not None
        assert (parcel.envelope.fingerprint, parcel.unique_until) == ("", 0.0)
