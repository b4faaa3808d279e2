"""Publishing: what is accepted, what is refused, and what is stored."""

import asyncio
import time

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import TaskNotFoundError
from ltq.message import Failure, Finish, Published, Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    make_envelope,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

FAILURE = Failure("ValueError", "ValueError: no", "Traceback ...")


class TestPublish:
    async def test_a_published_task_is_pending(self, broker: Broker) -> None:
        before = time.time()
        envelope = await publish(broker, timeout=2.5, task_name="mail:other")
        state = await broker.state(QUEUE, envelope.id)
        assert (state.id, state.queue, state.task_name) == (envelope.id, QUEUE, "mail:other")
        assert (state.status, state.timeout) == (Status.PENDING, 2.5)
        assert (state.dequeue_count, state.requeue_count) == (0, 0)
        assert state.enqueue_time is not None
        assert before - 0.5 <= state.enqueue_time <= time.time() + 0.5
        assert state.last_dequeue_time is state.last_requeue_time is state.release_time is None
        assert (state.worker, state.progress, state.result) == (None, None, None)
        assert state.error is state.error_type is state.traceback is None

    async def test_all_of_an_envelope_reaches_the_consumer(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        body, ctx = b'{"to": "\xc3\xbc", "raw": "\x00\xff\r\n"}', b'{"trace":1}'
        sent = await publish(broker, body=body, ctx=ctx, timeout=1.5, max_tries=3, result_ttl=60.0)
        delivery = await claim_one(broker, consumer)
        assert (delivery.lease.id, delivery.lease.queue) == (sent.id, QUEUE)
        assert (delivery.task_name, delivery.body, delivery.ctx) == (QUEUE, body, ctx)
        assert (delivery.timeout, delivery.max_tries, delivery.result_ttl) == (1.5, 3, 60.0)
        assert (delivery.tries, delivery.deaths, delivery.dequeue_count) == (0, 0, 1)
        state = await broker.state(QUEUE, sent.id)
        assert delivery.enqueue_time == state.enqueue_time

    async def test_what_is_not_said_is_none(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker)
        delivery = await claim_one(broker, consumer)
        assert delivery.timeout is delivery.max_tries is delivery.result_ttl is None
        assert delivery.ctx == b""

    async def test_an_empty_body_is_a_body(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker, body=b"")
        assert (await claim_one(broker, consumer)).body == b""

    async def test_nothing_published_is_no_error(self, broker: Broker) -> None:
        assert await broker.publish([]) == []

    async def test_answers_are_in_the_order_of_the_envelopes(self, broker: Broker) -> None:
        old = await publish(broker)
        envelopes = [make_envelope(queue="a:a"), old, make_envelope(queue="b:b"), make_envelope()]
        assert await broker.publish(envelopes) == [
            Published.CREATED,
            Published.EXISTS,
            Published.CREATED,
            Published.CREATED,
        ]

    async def test_more_than_a_thousand_go_in_one_call(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        ids = await publish_many(broker, 1100)
        (stats,) = await broker.stats([QUEUE])
        assert stats.pending == 1100
        assert await claim_ids(consumer, 3) == ids[:3]

    async def test_all_brokers_on_a_store_see_the_same(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        envelope = await publish(broker)
        assert (await open_broker().state(QUEUE, envelope.id)).status is Status.PENDING
        clone = broker.clone()
        assert (await clone.state(QUEUE, envelope.id)).status is Status.PENDING
        await clone.aclose()


class TestIdThatIsThere:
    async def test_it_is_not_enqueued_again(self, broker: Broker, consumer: Consumer) -> None:
        envelope = make_envelope(body=b"first")
        again = make_envelope(id=envelope.id, body=b"second")
        assert await broker.publish([envelope, again]) == [Published.CREATED, Published.EXISTS]
        assert await broker.publish([again]) == [Published.EXISTS]
        (delivery,) = (await consumer.claim(10)).deliveries
        assert delivery.body == b"first"

    async def test_delayed_working_and_final_tasks_are_there(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        delayed = await publish(broker, delay=30.0)
        assert await broker.publish([delayed]) == [Published.EXISTS]
        envelope = await publish(broker)
        delivery = await claim_one(broker, consumer)
        assert await broker.publish([envelope]) == [Published.EXISTS]
        await broker.release(delivery.lease)
        assert await broker.publish([envelope]) == [Published.EXISTS]
        assert await claim_ids(consumer, 10) == []

    async def test_a_cancelled_task_is_there(self, broker: Broker) -> None:
        envelope = await publish(broker)
        await broker.cancel(QUEUE, envelope.id, 60.0)
        assert await broker.publish([envelope]) == [Published.EXISTS]

    async def test_another_queue_of_the_namespace_has_the_same_ids(self, broker: Broker) -> None:
        envelope = await publish(broker)
        other = make_envelope(id=envelope.id, queue="mail:other")
        assert await broker.publish([other]) == [Published.ID_CONFLICT]

    async def test_another_namespace_has_ids_of_its_own(self, broker: Broker) -> None:
        envelope = await publish(broker)
        await publish(broker, id=envelope.id, queue="other:send")
        assert (await broker.state("other:send", envelope.id)).queue == "other:send"

    async def test_an_expired_id_is_free_again(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, consumer)).lease, result_ttl=0.1)

        async def published() -> bool:
            return await broker.publish([envelope]) == [Published.CREATED]

        await eventually(published)
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING

    async def test_an_id_without_result_is_free_at_once(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, consumer)).lease, result_ttl=0)
        assert await broker.publish([envelope]) == [Published.CREATED]
        assert (await claim_one(broker, consumer)).dequeue_count == 1


class TestMaxPending:
    async def test_a_full_queue_takes_no_more(self, broker: Broker) -> None:
        envelopes = [make_envelope(max_pending=3) for _ in range(5)]
        assert await broker.publish(envelopes) == [Published.CREATED] * 3 + [Published.FULL] * 2
        with pytest.raises(TaskNotFoundError):
            await broker.state(QUEUE, envelopes[4].id)

    async def test_delayed_tasks_count(self, broker: Broker) -> None:
        await publish(broker, delay=30.0)
        await publish(broker)
        assert await broker.publish([make_envelope(max_pending=2)]) == [Published.FULL]
        assert await broker.publish([make_envelope(max_pending=3)]) == [Published.CREATED]

    async def test_all_priorities_count(self, broker: Broker) -> None:
        for priority in (0, 1, 2):
            await publish(broker, priority=priority)
        assert await broker.publish([make_envelope(max_pending=3)]) == [Published.FULL]

    async def test_working_tasks_do_not_count(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker)
        await claim_one(broker, consumer)
        assert await broker.publish([make_envelope(max_pending=1)]) == [Published.CREATED]

    async def test_all_lanes_of_the_queue_count(self, broker: Broker) -> None:
        await publish(broker, lane=f"{QUEUE}/mail:other", priority=Priority.LOW)
        await publish(broker, lane=f"{QUEUE}/mail:third", delay=60.0)
        own = make_envelope(max_pending=2)
        assert await broker.publish([own]) == [Published.FULL]
        in_a_lane = make_envelope(max_pending=3, lane=f"{QUEUE}/mail:other")
        assert await broker.publish([in_a_lane, own]) == [Published.CREATED, Published.FULL]

    async def test_those_of_the_same_call_count_whatever_their_lane(self, broker: Broker) -> None:
        lanes = ["", f"{QUEUE}/mail:a", f"{QUEUE}/mail:b", "", f"{QUEUE}/mail:a"]
        envelopes = [make_envelope(max_pending=3, lane=lane) for lane in lanes]
        assert await broker.publish(envelopes) == [Published.CREATED] * 3 + [Published.FULL] * 2

    async def test_other_queues_do_not_count(self, broker: Broker) -> None:
        await publish(broker, queue="mail:other", lane="mail:other/mail:send")
        await publish(broker, queue=f"{QUEUE}2")
        assert await broker.publish([make_envelope(max_pending=1)]) == [Published.CREATED]

    async def test_a_lane_that_has_been_emptied_counts_no_more(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        await publish(broker, lane=lane)
        full = make_envelope(max_pending=1, lane=lane)
        assert await broker.publish([full]) == [Published.FULL]
        consumer = make_consumer(lane)
        (delivery,) = (await consumer.claim(1)).deliveries
        await broker.requeue(delivery.lease)
        assert await broker.publish([full]) == [Published.FULL]
        (delivery,) = (await consumer.claim(1)).deliveries
        assert await broker.publish([full, full]) == [Published.CREATED, Published.EXISTS]

    async def test_an_id_that_is_there_exists_even_when_the_queue_is_full(
        self, broker: Broker
    ) -> None:
        envelope = await publish(broker, max_pending=1)
        assert await broker.publish([envelope]) == [Published.EXISTS]

    async def test_it_is_exact_with_many_publishers(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        brokers = [broker, open_broker()]
        answers = await asyncio.gather(
            *(brokers[i % 2].publish([make_envelope(max_pending=3)]) for i in range(10))
        )
        assert sorted(answer for (answer,) in answers) == ["created"] * 3 + ["full"] * 7


class TestSerializerNames:
    async def test_without_a_name_it_is_json(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker)
        assert (await broker.state(QUEUE, task.id)).serializer == "json"
        delivery = await claim_one(broker, make_consumer())
        assert delivery.serializer == "json"
        await broker.finish([Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True)])
        assert (await broker.state(QUEUE, task.id)).serializer == "json"
        assert (await broker.dead_letter(QUEUE, task.id)).serializer == "json"

    async def test_the_arguments_keep_theirs_over_retries_and_replays(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        task = await publish(broker, serializer="Zipped")
        assert (await broker.state(QUEUE, task.id)).serializer == "Zipped"
        delivery = await claim_one(broker, consumer)
        await broker.finish([Requeue(delivery.lease, failed=True, failure=FAILURE)])
        delivery = await claim_one(broker, consumer)
        assert delivery.serializer == "Zipped"
        await broker.finish([Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True)])
        assert (await broker.dead_letter(QUEUE, task.id)).serializer == "Zipped"
        await broker.replay(QUEUE, [task.id])
        assert (await broker.state(QUEUE, task.id)).serializer == "Zipped"
        assert (await claim_one(broker, consumer)).serializer == "Zipped"

    async def test_a_result_has_its_own(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        consumer = make_consumer()
        for sent, returned in (("json", "msgpack"), ("msgpack", "json"), ("Zipped", "Zipped")):
            task = await publish(broker, serializer=sent)
            lease = (await claim_one(broker, consumer)).lease
            await broker.finish([Finish(lease, Status.COMPLETED, b"\x01", serializer=returned)])
            state = await broker.state(QUEUE, task.id)
            assert (state.serializer, state.result) == (returned, b"\x01")

    async def test_a_letter_has_that_of_the_arguments(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, serializer="Zipped")
        lease = (await claim_one(broker, make_consumer())).lease
        end = Finish(lease, Status.FAILED, b"\x01", dead=True, serializer="msgpack")
        await broker.finish([end])
        assert (await broker.state(QUEUE, task.id)).serializer == "msgpack"
        assert (await broker.dead_letter(QUEUE, task.id)).serializer == "Zipped"

    async def test_tasks_of_several_go_together(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        names = ["json", "msgpack", "msgpack", "json"]
        for name in names:
            await publish(broker, serializer=name)
        claim = await make_consumer().claim(10)
        assert [delivery.serializer for delivery in claim.deliveries] == names
