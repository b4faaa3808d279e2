"""What happened in the last minutes of a queue."""

from collections import Counter
from collections.abc import Sequence

import pytest

from ltq.broker import HISTORY_MINUTES, Broker, Consumer
from ltq.errors import ConfigurationError
from ltq.message import Delivery, Finish, Outcome, Receipt, Requeue
from ltq.state import Durations, Minute, Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_one,
    lose,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

ERROR = 2**0.25 - 1
"""How much a percentile may be off, as a share of the exact one."""

TENTH_OF_A_MILLISECOND = 1e-4


async def counts(broker: Broker, queue: str = QUEUE) -> Counter[str]:
    """What happened in the last minutes, without what did not."""
    total = Counter[str]()
    for minute in await broker.history(queue, 3):
        for name in ("completed", "failed", "rejected", "cancelled", "retried"):
            total[name] += getattr(minute, name)
        total["wait"] += minute.wait.count
        total["run"] += minute.run.count
    return +total


async def spent(broker: Broker, name: str) -> float:
    """The sum of the durations of the last minutes: "wait" or "run"."""
    found: list[Durations] = [getattr(minute, name) for minute in await broker.history(QUEUE, 3)]
    return sum(durations.sum for durations in found)


async def pass_until(broker: Broker, moment: float) -> None:
    """Wait until it is some time by the broker's clock."""

    async def is_past() -> bool:
        return await broker.time() >= moment

    await eventually(is_past, description=f"{moment} by the broker's clock")


def percentiles(durations: Durations) -> tuple[float, float, float]:
    """Those of something that was counted."""
    p50, p95, p99 = durations.p50, durations.p95, durations.p99
    assert p50 is not None
    assert p95 is not None
    assert p99 is not None
    return p50, p95, p99


async def claim(consumer: Consumer, count: int) -> list[Delivery]:
    deliveries = (await consumer.claim(count)).deliveries
    assert len(deliveries) == count
    return deliveries


async def finish(broker: Broker, *outcomes: Outcome) -> None:
    assert await broker.finish(outcomes) == [Receipt.OK] * len(outcomes)


class TestHistory:
    async def test_without_tasks_all_minutes_are_there_and_empty(self, broker: Broker) -> None:
        before = await broker.time()
        minutes = await broker.history(QUEUE, 3)
        after = await broker.time()
        first, second, last = [minute.time for minute in minutes]
        assert (second, last) == (first + 60, first + 120)
        assert last % 60 == 0
        assert before - 60 < last <= after
        assert minutes == [Minute(time=minute.time) for minute in minutes]
        assert minutes[0].wait == Durations(0, 0.0, None, None, None)

    async def test_it_is_an_hour_unless_one_says_more_or_less(self, broker: Broker) -> None:
        assert len(await broker.history(QUEUE)) == 60
        assert len(await broker.history(QUEUE, minutes=1)) == 1
        day = await broker.history(QUEUE, HISTORY_MINUTES)
        assert len({minute.time for minute in day}) == HISTORY_MINUTES
        assert [minute.time for minute in day] == sorted(minute.time for minute in day)

    async def test_a_number_of_minutes_that_cannot_be_is_refused(self, broker: Broker) -> None:
        wrong: Sequence[object] = (0, -1, HISTORY_MINUTES + 1, True, 1.5, "5", None)
        for minutes in wrong:
            with pytest.raises(ConfigurationError, match="minutes="):
                await broker.history(QUEUE, minutes)  # type: ignore[arg-type]  # that is the test

    async def test_each_end_is_counted_by_its_status(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 9)
        completed, *failed = [d.lease for d in await claim(consumer, 3)]
        rejected = [d.lease for d in await claim(consumer, 4)]
        cancelled = [d.lease for d in await claim(consumer, 1)]
        outcomes = [Finish(completed, Status.COMPLETED, result=b"1", result_ttl=60.0)]
        outcomes += [Finish(lease, Status.FAILED, dead=True) for lease in failed]
        outcomes += [Finish(lease, Status.REJECTED, result_ttl=0.0) for lease in rejected]
        outcomes += [Finish(lease, Status.CANCELLED) for lease in cancelled]
        await finish(broker, *outcomes)
        ends = {"completed": 1, "failed": 2, "rejected": 4, "cancelled": 1}
        assert await counts(broker) == {**ends, "wait": 8, "run": 8}

    async def test_nothing_is_counted_twice(self, broker: Broker, consumer: Consumer) -> None:
        await publish_many(broker, 3)
        one, other, again = [d.lease for d in await claim(consumer, 3)]
        outcomes: list[Outcome] = [
            Finish(one, Status.COMPLETED, result_ttl=60.0),
            Finish(other, Status.FAILED, result_ttl=0.0),
            Requeue(again, delay=30.0, failed=True),
        ]
        await finish(broker, *outcomes, *outcomes)
        await finish(broker, *outcomes)
        ended = {"completed": 1, "failed": 1, "retried": 1}
        assert await counts(broker) == {**ended, "wait": 3, "run": 3}

    async def test_an_outcome_that_changes_nothing_is_not_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.cancel(QUEUE, lease.id, 60.0)
        assert await broker.finish([Finish(lease, Status.COMPLETED)]) == [Receipt.CANCELLED]
        assert await counts(broker) == {"cancelled": 1, "wait": 1}

    async def test_a_cancelled_task_is_counted_wherever_it_was(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        ready, working = await publish_many(broker, 2)
        delayed = await publish(broker, delay=30.0)
        (delivery,) = await claim(consumer, 1)
        assert delivery.lease.id == ready
        for task_id in (ready, working, delayed.id):
            assert await broker.cancel(QUEUE, task_id, 0.0 if task_id == ready else 60.0)
        assert not await broker.cancel(QUEUE, working, 60.0)
        assert await counts(broker) == {"cancelled": 3, "wait": 1}

    async def test_a_run_that_is_given_back_is_not_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await finish(broker, Requeue(lease, front=True, is_void=True))
        assert await counts(broker) == {"wait": 1}

    async def test_a_task_that_killed_its_worker_is_rejected(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=1)
        await lose(broker, await claim_one(broker, make_consumer(lease=0.05)))
        assert await counts(broker) == {"rejected": 1, "wait": 1}

    async def test_each_queue_counts_for_itself_whoever_looks(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        queues = ["mail:a", "mail:b", "other:a"]
        for number, queue in enumerate(queues, start=1):
            await publish_many(broker, number, queue=queue)
        consumer = make_consumer(*queues)
        await finish(broker, *[Finish(d.lease, Status.COMPLETED) for d in await claim(consumer, 6)])
        other = open_broker()
        for number, queue in enumerate(queues, start=1):
            expected = {"completed": number, "wait": number, "run": number}
            assert await counts(other, queue) == expected
        assert await counts(other, "mail:c") == {}


class TestDurations:
    async def test_a_run_lasts_from_the_claim_to_the_outcome(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 2)
        before = await broker.time()
        one, other = await claim(consumer, 2)
        claimed = await broker.time()
        await pass_until(broker, claimed + 0.1)
        await finish(
            broker, Finish(one.lease, Status.FAILED), Requeue(other.lease, delay=9.0, failed=True)
        )
        longest = 2 * (await broker.time() - before)
        assert 0.2 <= await spent(broker, "run") <= longest
        (run,) = [minute.run for minute in await broker.history(QUEUE, 3) if minute.run.count]
        half, most, all_but_one = percentiles(run)
        assert half <= most <= all_but_one
        assert all_but_one == pytest.approx(run.sum / 2, rel=ERROR, abs=TENTH_OF_A_MILLISECOND)

    async def test_a_task_waits_from_the_send_to_the_claim(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        before = await broker.time()
        await publish(broker)
        sent = await broker.time()
        await pass_until(broker, sent + 0.1)
        await claim(consumer, 1)
        assert 0.1 <= await spent(broker, "wait") <= await broker.time() - before

    async def test_a_delayed_task_waits_from_its_due_time(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish(broker, delay=0.3)
        due = (await broker.state(QUEUE, sent.id)).due_time
        assert due is not None
        await pass_until(broker, due + 0.15)  # nobody sweeps meanwhile
        await claim_one(broker, make_consumer())
        longest = await broker.time() - due + 0.001
        assert 0.149 <= await spent(broker, "wait") <= longest

    async def test_a_retry_waits_from_its_new_due_time(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        before = await spent(broker, "wait")
        await finish(broker, Requeue(lease, delay=0.3, failed=True))
        due = (await broker.state(QUEUE, lease.id)).due_time
        assert due is not None
        await pass_until(broker, due + 0.15)
        await claim_one(broker, make_consumer())
        longest = await broker.time() - due + 0.001
        assert 0.149 <= await spent(broker, "wait") - before <= longest

    async def test_a_percentile_is_near_the_exact_one(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 100)
        slow = await claim(consumer, 2)
        claimed = await broker.time()
        await pass_until(broker, claimed + 0.2)
        began = await broker.time()
        quick = await claim(consumer, 98)
        ends = [Finish(delivery.lease, Status.COMPLETED) for delivery in (*slow, *quick)]
        await finish(broker, *ends)
        longest = await broker.time() - began
        minutes = [minute.run for minute in await broker.history(QUEUE, 3)]
        (run,) = [run for run in minutes if run.count]
        assert run.count == 100
        half, most, all_but_one = percentiles(run)
        assert half <= most <= longest * (1 + ERROR) + TENTH_OF_A_MILLISECOND
        assert all_but_one * (1 + ERROR) >= 0.2


class TestOldest:
    async def test_a_delayed_task_counts_from_its_due_time_on(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish(broker, delay=0.3)
        (stats,) = await broker.stats([QUEUE])
        assert stats.oldest is None
        due = (await broker.state(QUEUE, sent.id)).due_time
        assert due is not None
        await pass_until(broker, due + 0.15)
        await self.check(broker, due)  # nobody has swept yet
        assert (await broker.sweep([QUEUE])).promoted == 1
        await self.check(broker, due)
        await claim_one(broker, make_consumer())
        (none,) = await broker.stats([QUEUE])
        assert none.oldest is None

    async def test_an_older_task_comes_before_one_that_is_due(self, broker: Broker) -> None:
        before = await broker.time()
        await publish(broker)
        sent = await broker.time()
        late = await publish(broker, delay=0.1)
        due = (await broker.state(QUEUE, late.id)).due_time
        assert due is not None
        await pass_until(broker, due)
        await self.check(broker, before, sent)

    async def check(self, broker: Broker, since: float, until: float | None = None) -> None:
        """The oldest task waits since then, by the broker's clock."""
        before = await broker.time()
        (stats,) = await broker.stats([QUEUE])
        after = await broker.time()
        assert stats.oldest is not None
        assert before - (until or since) - 0.001 <= stats.oldest <= after - since + 0.001

    async def test_all_priorities_are_there_even_if_nothing_waits(self, broker: Broker) -> None:
        (stats,) = await broker.stats([QUEUE])
        assert stats.by_priority == {"high": 0, "normal": 0, "low": 0}


class TestLateRate:
    """Tasks per second, over the last 8 to 10 seconds."""

    async def test_it_is_six_times_that_of_a_minute_for_what_has_just_ended(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 60)
        ends = [Finish(d.lease, Status.COMPLETED) for d in await claim(consumer, 60)]
        await finish(broker, *ends)
        (stats,) = await broker.stats([QUEUE])
        assert 60 / 60 <= stats.rate <= 60 / 50
        assert 60 / 10 <= stats.rate_10s <= 60 / 8
        (other,) = await broker.stats(["mail:other"])
        assert (other.rate, other.rate_10s) == (0.0, 0.0)
