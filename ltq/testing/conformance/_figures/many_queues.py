"""The counts of very many queues in one call."""

from collections.abc import Sequence

import pytest

from ltq.broker import Broker
from ltq.message import Finish, Published, Receipt
from ltq.options import Priority
from ltq.state import QueueStats, Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import make_envelope
from ltq.testing.conformance._support.fixtures import MakeConsumer

EACH = 25
"""How many queues of each kind there are, in two namespaces."""

KINDS = ("ready", "delayed", "working", "dead", "paused", "foreign", "due", "unknown")

OTHER = "mail:other"


def queues_of(kind: str) -> list[str]:
    """The queues in which the tasks are of one kind. The first has one task, the next two."""
    return [f"{('shop', 'mail')[number % 2]}:{kind}{number}" for number in range(EACH)]


async def fill(broker: Broker, make_consumer: MakeConsumer) -> None:
    """Let there be queues of each kind."""
    for kind in KINDS[:6]:
        await send(broker, kind)
    total = sum(range(1, EACH + 1))
    for kind in ("working", "dead"):
        consumer = make_consumer(*queues_of(kind))
        leases = [delivery.lease for delivery in (await consumer.claim(total)).deliveries]
        assert len(leases) == total
        if kind == "dead":
            ends = [Finish(lease, Status.FAILED, dead=True) for lease in leases]
            assert set(await broker.finish(ends)) == {Receipt.OK}
    for queue in queues_of("paused"):
        await broker.pause(queue)
    await send(broker, "due")  # a claim would make these ready


async def send(broker: Broker, kind: str) -> None:
    """Send the tasks of all queues of a kind."""
    envelopes = [
        make_envelope(
            queue=queue,
            task_name=OTHER if kind == "foreign" else queue,
            delay={"delayed": 60.0, "due": 0.02}.get(kind, 0.0),
            lane=f"{queue}/{OTHER}" if kind == "foreign" else "",
            priority=Priority.HIGH if kind == "paused" else Priority.NORMAL,
        )
        for number, queue in enumerate(queues_of(kind))
        for _ in range(number + 1)
    ]
    assert set(await broker.publish(envelopes)) == {Published.CREATED}


def check(kind: str, stats: QueueStats, many: int) -> None:
    """Fail if the counts of a queue with so many tasks of a kind are not exact."""
    waits = {"ready": many, "paused": many, "foreign": many}.get(kind, 0)
    assert stats.pending == waits
    high = many if kind == "paused" else 0
    assert stats.by_priority == {"high": high, "normal": waits - high, "low": 0}
    assert stats.delayed == (many if kind in ("delayed", "due") else 0)
    assert stats.working == (many if kind == "working" else 0)
    assert stats.dead == (many if kind == "dead" else 0)
    assert stats.paused == (kind == "paused")
    assert stats.unserved == ({OTHER: many} if kind == "foreign" else {})
    assert (stats.oldest is not None) == (waits > 0 or kind == "due")
    assert (stats.unserved_oldest is not None) == (kind == "foreign")
    assert (stats.unswept is not None) == (kind == "due")
    assert stats.served_ago == (0.0 if kind in ("working", "dead") else None)
    assert stats.overdue == 0
    if kind == "dead":
        assert many / 60 <= stats.rate <= many / 50
        assert many / 10 <= stats.rate_10s <= many / 8
    else:
        assert (stats.rate, stats.rate_10s) == (0.0, 0.0)


class TestManyQueues:
    async def all_due(self, broker: Broker) -> None:
        async def are_due() -> bool:
            return all(one.unswept for one in await broker.stats(queues_of("due")))

        await eventually(are_due, description="delayed tasks of many queues that are due")

    async def test_each_is_counted_as_if_alone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await fill(broker, make_consumer)
        await self.all_due(broker)
        names = [queue for kind in KINDS for queue in queues_of(kind)]
        names = [*names[::3], *names[1::3], *names[2::3]]
        found = await broker.stats(names)
        assert [stats.queue for stats in found] == names
        by_queue = {stats.queue: stats for stats in found}
        for kind in KINDS:
            for number, queue in enumerate(queues_of(kind)):
                check(kind, by_queue[queue], number + 1)

    async def test_the_oldest_of_each_is_its_own(self, broker: Broker) -> None:
        names = [f"mail:{number}" for number in range(4 * EACH)]
        first, second = names[::2], names[1::2]
        await self.publish(broker, first)
        begun = await broker.time()

        async def is_later() -> bool:
            return await broker.time() > begun + 0.05

        await eventually(is_later, description="a later time of the broker")
        await self.publish(broker, [*second, *first])
        waited = {stats.queue: stats.oldest or 0.0 for stats in await broker.stats(names)}
        old, new = [waited[queue] for queue in first], [waited[queue] for queue in second]
        assert max(new) + 0.05 <= min(old) + 0.001
        assert min(new) >= 0

    async def publish(self, broker: Broker, queues: Sequence[str]) -> None:
        sent = await broker.publish([make_envelope(queue=queue) for queue in queues])
        assert sent == [Published.CREATED] * len(queues)

    async def test_one_that_is_named_twice_is_counted_twice(self, broker: Broker) -> None:
        await self.publish(broker, ["mail:a", "mail:a", "shop:b"])
        found = await broker.stats(["mail:a", "shop:b", "mail:a"])
        assert [(stats.queue, stats.pending) for stats in found] == [
            ("mail:a", 2),
            ("shop:b", 1),
            ("mail:a", 2),
        ]
        assert found[0].oldest == pytest.approx(found[2].oldest, abs=0.1)
