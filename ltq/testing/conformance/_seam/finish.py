"""Outcomes: a task ends or is requeued, and each call may be repeated."""

import pytest
import pytest_asyncio

from ltq.broker import Broker
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import Delivery, Failure, Finish, Lease, Outcome, Receipt, Requeue
from ltq.state import Progress, Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer
from ltq.testing.conformance._support.periods import period

FAILURE = Failure("ValueError", "ValueError: no such address", "Traceback ...")


class HasDelivery:
    """Tests that begin with a working task."""

    @pytest_asyncio.fixture(loop_scope="function")
    async def delivery(self, broker: Broker, make_consumer: MakeConsumer) -> Delivery:
        await publish(broker, timeout=2.0, ctx=b'{"a":1}')
        return await claim_one(broker, make_consumer())


class TestFinish(HasDelivery):
    async def test_a_completed_task_has_its_result(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        lease = delivery.lease
        result = b'{"id": "\xc3\xbc", "raw": "\x00\xff\r\n"}'
        async with period(broker) as finished:
            assert await broker.finish([Finish(lease, Status.COMPLETED, result)]) == [Receipt.OK]
        state = await broker.state(QUEUE, lease.id)
        assert (state.status, state.result) == (Status.COMPLETED, result)
        assert state.error is state.traceback is None
        assert (state.task_name, state.queue, state.timeout) == (QUEUE, QUEUE, 2.0)
        assert (state.dequeue_count, state.requeue_count) == (1, 0)
        assert state.release_time in finished
        assert state.enqueue_time == delivery.enqueue_time

    @pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
    async def test_a_task_that_ended_badly_has_its_failure(
        self, broker: Broker, delivery: Delivery, status: Status
    ) -> None:
        outcome = Finish(delivery.lease, status, failure=FAILURE)
        assert await broker.finish([outcome]) == [Receipt.OK]
        state = await broker.state(QUEUE, delivery.lease.id)
        assert (state.status, state.result) == (status, None)
        assert (state.error, state.error_type) == (FAILURE.text, FAILURE.type)
        assert state.traceback == FAILURE.traceback

    async def test_a_plain_reason_has_no_type(self, broker: Broker, delivery: Delivery) -> None:
        failure = Failure("", "too old")
        await broker.finish([Finish(delivery.lease, Status.REJECTED, failure=failure)])
        state = await broker.state(QUEUE, delivery.lease.id)
        assert state.error == "too old"
        assert not state.error_type
        assert state.traceback is None

    async def test_it_is_nowhere_else_then(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.release(delivery.lease)
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 0, 0)
        claim = await make_consumer().claim(1)
        assert (claim.deliveries, claim.due_in) == ([], None)

    async def test_progress_ends_with_it(self, broker: Broker, delivery: Delivery) -> None:
        await broker.progress(delivery.lease, Progress(1.0, 2.0, "half"))
        await broker.release(delivery.lease)
        assert (await broker.state(QUEUE, delivery.lease.id)).progress is None

    async def test_its_state_stays_for_the_result_ttl(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        await broker.release(delivery.lease, result_ttl=0.2)
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.COMPLETED

        async def gone() -> bool:
            return await broker.states(QUEUE, [delivery.lease.id]) == [None]

        await eventually(gone)
        with pytest.raises(TaskNotFoundError):
            await broker.state(QUEUE, delivery.lease.id)

    async def test_without_a_result_ttl_it_is_gone_at_once(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        assert await broker.release(delivery.lease, result_ttl=0) is Receipt.OK
        assert await broker.states(QUEUE, [delivery.lease.id]) == [None]
        assert await broker.release(delivery.lease, result_ttl=0) is Receipt.OK
        stale = Lease(delivery.lease.id, QUEUE, delivery.lease.token - 1)
        assert await broker.release(stale) is Receipt.GONE

    async def test_an_unknown_task_is_gone(self, broker: Broker) -> None:
        lease = Lease("nobody", QUEUE, 1)
        outcomes: list[Outcome] = [Finish(lease, Status.COMPLETED), Requeue(lease)]
        assert await broker.finish(outcomes) == [Receipt.GONE] * 2

    async def test_receipts_are_in_the_order_of_the_outcomes(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        for queue in ("a:x", "b:x", "a:y"):
            await publish(broker, queue=queue)
        claim = await make_consumer("a:x", "b:x", "a:y").claim(3)
        first, second, third = (delivery.lease for delivery in claim.deliveries)
        await broker.cancel(second.queue, second.id, 60.0)
        outcomes: list[Outcome] = [
            Finish(first, Status.COMPLETED),
            Requeue(second),
            Finish(Lease("nobody", "c:x", 1), Status.COMPLETED),
            Requeue(third),
            Finish(Lease(third.id, third.queue, third.token - 1), Status.FAILED),
        ]
        assert await broker.finish(outcomes) == [
            Receipt.OK,
            Receipt.CANCELLED,
            Receipt.GONE,
            Receipt.OK,
            Receipt.STALE,
        ]

    async def test_no_outcomes_are_no_error(self, broker: Broker) -> None:
        assert await broker.finish([]) == []

    async def test_many_go_in_one_call(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish_many(broker, 300)
        deliveries = (await make_consumer().claim(300)).deliveries
        outcomes: list[Outcome] = [
            Finish(delivery.lease, Status.COMPLETED, b"1") for delivery in deliveries
        ]
        assert await broker.finish(outcomes) == [Receipt.OK] * 300

    async def test_a_release_needs_a_final_status(self, broker: Broker, delivery: Delivery) -> None:
        with pytest.raises(ConfigurationError, match="delayed"):
            await broker.release(delivery.lease, status=Status.DELAYED)


class TestDeadOutcome(HasDelivery):
    async def test_it_is_kept_when_the_outcome_says_so(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        outcome = Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True)
        assert await broker.finish([outcome]) == [Receipt.OK]
        (stats,) = await broker.stats([QUEUE])
        assert (stats.working, stats.dead) == (0, 1)
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.FAILED

    async def test_it_is_kept_without_a_state(self, broker: Broker, delivery: Delivery) -> None:
        outcome = Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True, result_ttl=0)
        await broker.finish([outcome])
        assert await broker.states(QUEUE, [delivery.lease.id]) == [None]
        (stats,) = await broker.stats([QUEUE])
        assert stats.dead == 1

    async def test_it_is_kept_once_when_said_twice(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        outcome = Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True)
        assert await broker.finish([outcome, outcome]) == [Receipt.OK] * 2
        (stats,) = await broker.stats([QUEUE])
        assert stats.dead == 1

    async def test_it_is_not_kept_by_a_stale_outcome(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        stale = Lease(delivery.lease.id, QUEUE, delivery.lease.token - 1)
        await broker.finish([Finish(stale, Status.FAILED, failure=FAILURE, dead=True)])
        (stats,) = await broker.stats([QUEUE])
        assert stats.dead == 0


class TestRequeue(HasDelivery):
    async def test_the_task_is_pending_again(self, broker: Broker, delivery: Delivery) -> None:
        async with period(broker) as requeued:
            assert await broker.requeue(delivery.lease) is Receipt.OK
        state = await broker.state(QUEUE, delivery.lease.id)
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)
        assert (state.dequeue_count, state.timeout) == (1, 2.0)
        assert state.last_requeue_time in requeued

    async def test_it_is_the_same_task_with_the_same_content(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.requeue(delivery.lease)
        again = await claim_one(broker, make_consumer())
        assert (again.lease.id, again.body) == (delivery.lease.id, delivery.body)
        assert (again.ctx, again.timeout) == (delivery.ctx, delivery.timeout)
        assert again.enqueue_time == delivery.enqueue_time
        assert (again.tries, again.deaths, again.dequeue_count) == (0, 0, 2)

    async def test_only_a_failed_run_uses_up_a_try(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        consumer, tries = make_consumer(), []
        for failed in (True, False, True):
            await broker.finish([Requeue(delivery.lease, failed=failed)])
            delivery = await claim_one(broker, consumer)
            tries.append(delivery.tries)
        assert tries == [1, 1, 2]

    async def test_ctx_and_timeout_may_be_replaced(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.finish([Requeue(delivery.lease, ctx=b'{"b":2}', timeout=7.5)])
        assert (await broker.state(QUEUE, delivery.lease.id)).timeout == 7.5
        again = await claim_one(broker, make_consumer())
        assert (again.ctx, again.timeout) == (b'{"b":2}', 7.5)

    async def test_its_failure_shows_until_the_next_outcome(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.finish([Requeue(delivery.lease, failed=True, failure=FAILURE)])
        state = await broker.state(QUEUE, delivery.lease.id)
        assert (state.status, state.error) == (Status.PENDING, FAILURE.text)
        assert (state.error_type, state.traceback) == (FAILURE.type, FAILURE.traceback)
        again = await claim_one(broker, make_consumer())
        assert (await broker.state(QUEUE, delivery.lease.id)).error == FAILURE.text
        await broker.release(again.lease, result=b"1")
        state = await broker.state(QUEUE, delivery.lease.id)
        assert (state.result, state.error, state.traceback) == (b"1", None, None)

    async def test_a_requeue_without_a_failure_ends_the_former_one(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.finish([Requeue(delivery.lease, failed=True, failure=FAILURE)])
        again = await claim_one(broker, make_consumer())
        await broker.requeue(again.lease)
        state = await broker.state(QUEUE, delivery.lease.id)
        assert state.error is state.error_type is state.traceback is None


class TestRepeatedOutcome(HasDelivery):
    async def test_a_finish_said_twice_counts_once(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        outcome = Finish(delivery.lease, Status.COMPLETED, b"1")
        assert await broker.finish([outcome]) == [Receipt.OK]
        before = await broker.state(QUEUE, delivery.lease.id)
        assert await broker.finish([outcome, outcome]) == [Receipt.OK] * 2
        assert await broker.state(QUEUE, delivery.lease.id) == before

    async def test_a_requeue_said_twice_counts_once(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        outcome = Requeue(delivery.lease, failed=True)
        assert await broker.finish([outcome]) == [Receipt.OK]
        before = await broker.state(QUEUE, delivery.lease.id)
        assert await broker.finish([outcome, outcome]) == [Receipt.OK] * 2
        assert await broker.state(QUEUE, delivery.lease.id) == before
        (again,) = (await make_consumer().claim(10)).deliveries
        assert again.tries == 1

    async def test_a_requeue_with_a_delay_said_twice_counts_once(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        outcome = Requeue(delivery.lease, delay=0.05)
        assert await broker.finish([outcome, outcome]) == [Receipt.OK] * 2

        async def promoted() -> int:
            return (await broker.sweep([QUEUE])).promoted

        assert await eventually(promoted) == 1
        assert await broker.finish([outcome]) == [Receipt.OK]
        assert await claim_ids(make_consumer(), 10) == [delivery.lease.id]
        assert (await broker.state(QUEUE, delivery.lease.id)).requeue_count == 1

    async def test_a_requeue_repeated_after_the_next_claim_was_recorded(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.requeue(delivery.lease)
        await claim_one(broker, make_consumer())
        assert await broker.requeue(delivery.lease) is Receipt.OK
        assert await broker.release(delivery.lease) is Receipt.STALE
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.WORKING


class TestProgress(HasDelivery):
    async def test_it_shows_in_the_state(self, broker: Broker, delivery: Delivery) -> None:
        for progress in (Progress(1.0), Progress(2.5, 10.0, "übersetzt")):
            assert await broker.progress(delivery.lease, progress)
            assert (await broker.state(QUEUE, delivery.lease.id)).progress == progress

    async def test_a_task_that_ended_takes_none(self, broker: Broker, delivery: Delivery) -> None:
        await broker.release(delivery.lease)
        assert not await broker.progress(delivery.lease, Progress(1.0))
        assert (await broker.state(QUEUE, delivery.lease.id)).progress is None

    async def test_an_unknown_task_takes_none(self, broker: Broker) -> None:
        assert not await broker.progress(Lease("nobody", QUEUE, 1), Progress(1.0))

    async def test_the_next_run_starts_without(
        self, broker: Broker, make_consumer: MakeConsumer, delivery: Delivery
    ) -> None:
        await broker.progress(delivery.lease, Progress(1.0))
        await broker.requeue(delivery.lease)
        await claim_one(broker, make_consumer())
        assert (await broker.state(QUEUE, delivery.lease.id)).progress is None


class TestKeptCtx:
    async def test_a_letter_has_the_ctx_of_the_last_run(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, ctx=b'{"a":1}')
        lease = (await claim_one(broker, make_consumer())).lease
        end = Finish(lease, Status.FAILED, failure=FAILURE, dead=True, ctx=b'{"a":2}')
        await broker.finish([end])
        assert await self._replayed_ctx(broker, make_consumer, task.id) == b'{"a":2}'

    async def test_without_a_new_one_it_has_the_old_one(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, ctx=b'{"a":1}')
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.finish([Finish(lease, Status.REJECTED, failure=FAILURE, dead=True)])
        assert await self._replayed_ctx(broker, make_consumer, task.id) == b'{"a":1}'

    async def test_an_empty_one_is_one(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        task = await publish(broker, ctx=b'{"a":1}')
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.finish([Finish(lease, Status.FAILED, b"x", dead=True, ctx=b"")])
        assert await self._replayed_ctx(broker, make_consumer, task.id) == b""

    async def test_a_task_put_back_has_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Requeue(lease, front=True, ctx=b'{"a":2}')])
        assert (await claim_one(broker, consumer)).ctx == b'{"a":2}'

    @staticmethod
    async def _replayed_ctx(broker: Broker, make_consumer: MakeConsumer, task_id: str) -> bytes:
        await broker.replay(QUEUE, [task_id])
        delivery = await claim_one(broker, make_consumer())
        return delivery.ctx


class TestKeptFailure:
    async def test_a_task_put_back_may_keep_its_error(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        task = await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Requeue(lease, failed=True, failure=FAILURE)])
        for delay in (0.0, 0.001):
            lease = (await claim_one(broker, consumer)).lease
            await broker.finish([Requeue(lease, delay=delay, is_void=True)])
            state = await broker.state(QUEUE, task.id)
            assert (state.error, state.traceback) == (FAILURE.text, FAILURE.traceback)

    async def test_a_new_error_takes_the_place_of_the_old_one(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        task = await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Requeue(lease, failed=True, failure=FAILURE)])
        lease = (await claim_one(broker, consumer)).lease
        other = Failure("", "another")
        await broker.finish([Requeue(lease, failure=other, is_void=True)])
        state = await broker.state(QUEUE, task.id)
        assert (state.error, state.error_type, state.traceback) == ("another", None, None)
