"""Final tasks that are sent once more."""

from typing import Any

import pytest

from ltq.broker import MAX_RERUN, Broker
from ltq.errors import ConfigurationError, RerunError, TaskNotFoundError
from ltq.message import Delivery, Envelope, Failure, Finish, Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.factories import QUEUE, claim_one, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer

FAILURE = Failure("ValueError", "ValueError: text")

KEPT: list[tuple[Status, bool | None, bool]] = [
    (Status.FAILED, None, True),
    (Status.REJECTED, None, True),
    (Status.COMPLETED, None, False),
    (Status.CANCELLED, None, False),
    *((status, True, True) for status in Status if status.is_final),
    *((status, False, False) for status in Status if status.is_final),
]


async def end(
    broker: Broker, make_consumer: MakeConsumer, status: Status, **fields: Any
) -> tuple[Envelope, Delivery]:
    """Send a task that ends with a status."""
    envelope = await publish(broker, **fields)
    delivery = await claim_one(broker, make_consumer())
    if status is Status.CANCELLED:
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
    else:
        failure = None if status is Status.COMPLETED else FAILURE
        is_dead = failure is not None
        await broker.finish([Finish(delivery.lease, status, b"1", failure, dead=is_dead)])
    return envelope, delivery


class TestRerun:
    @pytest.mark.parametrize(("status", "keep_body", "kept"), KEPT)
    async def test_arguments_are_kept_as_the_send_says(
        self,
        broker: Broker,
        make_consumer: MakeConsumer,
        status: Status,
        keep_body: bool | None,
        kept: bool,
    ) -> None:
        envelope, _ = await end(broker, make_consumer, status, keep_body=keep_body)
        assert await broker.body(QUEUE, envelope.id) is None
        if not kept:
            with pytest.raises(RerunError, match="keep_body") as info:
                await broker.rerun(QUEUE, [envelope.id])
            assert [*info.value.reasons] == [envelope.id]
            assert (await broker.stats([QUEUE]))[0].pending == 0
            return
        (new_id,) = await broker.rerun(QUEUE, [envelope.id])
        assert new_id != envelope.id
        assert (await broker.state(QUEUE, new_id)).status is Status.PENDING
        assert (await broker.state(QUEUE, envelope.id)).status is status
        again = await claim_one(broker, make_consumer())
        assert (again.lease.id, again.body) == (new_id, envelope.body)

    async def test_all_goes_along_but_what_has_happened(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        fields: dict[str, Any] = {
            "ctx": b'{"a":1}',
            "tags": ("tenant:7", "b"),
            "priority": Priority.LOW,
            "timeout": 7.0,
            "max_tries": 3,
            "result_ttl": 50.0,
            "max_deliveries": 4,
            "serializer": "msgpack",
        }
        await publish(broker, **fields, task_name="mail:digest")
        consumer = make_consumer()
        first = await claim_one(broker, consumer)
        await broker.finish([Requeue(first.lease, failed=True, failure=FAILURE)])
        last = await claim_one(broker, consumer)
        await broker.finish(
            [Finish(last.lease, Status.FAILED, failure=FAILURE, result_ttl=50.0, dead=True)]
        )
        old = await broker.state(QUEUE, last.lease.id)
        (new_id,) = await broker.rerun(QUEUE, [last.lease.id])
        state = await broker.state(QUEUE, new_id)
        assert (state.tags, state.priority) == (("tenant:7", "b"), Priority.LOW)
        assert (state.tries, state.dequeue_count, state.requeue_count) == (0, 0, 0)
        assert (state.error, state.worker, state.release_time) == (None, None, None)
        assert (state.enqueue_time or 0.0) >= (old.release_time or float("inf"))
        again = await claim_one(broker, consumer)
        assert again.task_name == "mail:digest"
        for name, value in fields.items():
            if name != "priority":
                assert getattr(again, name) == value, name
        assert (again.tries, again.deaths, again.dequeue_count) == (0, 0, 1)

    async def test_the_ctx_is_that_of_the_last_claim(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, ctx=b'{"a":1}')
        consumer = make_consumer()
        first = await claim_one(broker, consumer)
        await broker.finish([Requeue(first.lease, ctx=b'{"a":2}')])
        last = await claim_one(broker, consumer)
        outcome = Finish(last.lease, Status.FAILED, failure=FAILURE, dead=True, ctx=b'{"a":3}')
        await broker.finish([outcome])
        await broker.rerun(QUEUE, [envelope.id])
        assert (await claim_one(broker, consumer)).ctx == b'{"a":2}'

    async def test_so_does_what_the_result_is_encoded_with_not(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, serializer="msgpack", keep_body=True)
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.finish([Finish(lease, Status.COMPLETED, b"1", serializer="json")])
        await broker.rerun(QUEUE, [envelope.id])
        assert (await claim_one(broker, make_consumer())).serializer == "msgpack"

    async def test_a_fingerprint_does_not_hold(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        fields = {"fingerprint": "f", "unique_for": 60.0}
        envelope, _ = await end(broker, make_consumer, Status.FAILED, **fields)
        assert len(await broker.rerun(QUEUE, [envelope.id])) == 1

    async def test_the_new_task_may_be_sent_once_more_itself(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope, _ = await end(broker, make_consumer, Status.COMPLETED, keep_body=True)
        (first,) = await broker.rerun(QUEUE, [envelope.id])
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.finish([Finish(lease, Status.COMPLETED, b"1")])
        (second, third) = await broker.rerun(QUEUE, [first, envelope.id])
        assert len({envelope.id, first, second, third}) == 4
        assert (await broker.stats([QUEUE]))[0].pending == 2

    async def test_all_are_sent_or_none(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        failed, _ = await end(broker, make_consumer, Status.FAILED)
        completed, _ = await end(broker, make_consumer, Status.COMPLETED)
        waiting = await publish(broker)
        with pytest.raises(RerunError) as info:
            await broker.rerun(QUEUE, [failed.id, completed.id, waiting.id])
        assert [*info.value.reasons] == [completed.id, waiting.id]
        assert "pending" in info.value.reasons[waiting.id]
        with pytest.raises(TaskNotFoundError, match="nobody"):
            await broker.rerun(QUEUE, [failed.id, "nobody"])
        with pytest.raises(TaskNotFoundError, match=failed.id):
            await broker.rerun("mail:other", [failed.id])
        assert (await broker.stats([QUEUE]))[0].pending == 1
        assert await broker.rerun(QUEUE, []) == []

    async def test_a_replay_and_a_rerun_do_not_meet(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope, _ = await end(broker, make_consumer, Status.FAILED)
        await broker.rerun(QUEUE, [envelope.id])
        await broker.replay(QUEUE, [envelope.id])
        with pytest.raises(RerunError, match="pending"):
            await broker.rerun(QUEUE, [envelope.id])
        assert (await broker.stats([QUEUE]))[0].pending == 2

    async def test_too_many_at_once_are_refused(self, broker: Broker) -> None:
        with pytest.raises(ConfigurationError, match=f"{MAX_RERUN + 1} ids"):
            await broker.rerun(QUEUE, [f"{i}" for i in range(MAX_RERUN + 1)])
