"""Which workers hold tasks, what is wrong with a store, and its tables."""

from ltq.broker import Broker, Consumer
from ltq.message import Finish, Receipt
from ltq.state import Status
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer


class TestWorkers:
    async def test_nobody_holds_a_task(self, broker: Broker) -> None:
        await publish(broker)
        assert await broker.workers() == []

    async def test_who_holds_which_tasks_since_when(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 3)
        other = await publish(broker, queue="other:x", task_name="other:x")
        await claim_ids(make_consumer(name="b"), 2)
        await claim_ids(make_consumer(QUEUE, "other:x", name="a"), 5)
        a, b = await broker.workers()
        assert (a.name, a.running) == ("a", tuple(sorted([ids[2], other.id])))
        assert a.task_names == tuple(sorted({QUEUE, "other:x"}))
        assert (b.name, b.running, b.task_names) == ("b", tuple(sorted(ids[:2])), (QUEUE,))
        state = await broker.state(QUEUE, ids[0])
        assert b.since == state.last_dequeue_time

    async def test_what_has_ended_is_held_no_more(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker)
        await broker.release((await claim_one(broker, consumer)).lease)
        assert await broker.workers() == []


class TestExamine:
    async def test_it_tells_of_the_store_and_of_dead_letters(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        findings = await broker.examine(scan=1000)
        assert all(finding.name and finding.text for finding in findings)
        letters = [finding for finding in findings if finding.name == "dead letters"]
        assert [(one.severity, one.text) for one in letters] == [("ok", f"{QUEUE}: 1")]

    async def test_a_store_without_queues_says_so(self, broker: Broker) -> None:
        (found,) = [one for one in await broker.examine(scan=0) if one.name == "queues"]
        assert (found.severity, "0" in found.text) == ("ok", True)


class TestMigrate:
    async def test_a_store_in_order_is_left_as_it_is(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await broker.migrate()
        sent = await publish(broker)
        assert await broker.migrate() is False
        assert await claim_ids(consumer, 5) == [sent.id]

    async def test_it_may_be_done_while_tasks_run(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.migrate()
        assert await broker.finish([Finish(lease, Status.COMPLETED)]) == [Receipt.OK]
