"""Many cancelled tasks in ready lists: Redis beside a memory broker, which removes them at once."""

import random
from collections.abc import Awaitable, Callable

import redis

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import TaskNotFoundError
from ltq.message import Delivery, Envelope, Finish, Outcome, Requeue
from ltq.options import Priority
from ltq.state import Status
from tests.model.redis_store import waiting

LANES = ("q", "q/other")
"""The queue's own lane, and that of tasks that the first consumer does not know."""


class Withdrawn:
    """The same random calls to both brokers, with the same answers and the same ready lists."""

    def __init__(self, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.redis = RedisBroker(url)
        self.memory = MemoryBroker(f"memory://withdrawn-{seed}")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.knowing = [one.consumer(["q"], knows=["q"]) for one in self.brokers]
        self.rare = [one.consumer(["q/other"]) for one in self.brokers]
        self.ids: list[str] = []
        self.held: list[tuple[Delivery, Delivery]] = []
        self.skipped = 0
        """How many entries were skipped at most at once."""

    @property
    def brokers(self) -> tuple[Broker, Broker]:
        return self.redis, self.memory

    async def walk(self, steps: int) -> None:
        doings = [self.send] * 4 + [self.cancel] * 8 + [self.claim] * 3 + [self.finish] * 3
        doings += [self.send_again] * 2 + [self.cancel_row]
        for step in range(steps):
            await self.random.choice(doings if step % 50 else [self.clear])()
            await self.compare()

    async def aclose(self) -> None:
        for consumer in (*self.knowing, *self.rare):
            await consumer.aclose()
        self.memory.forget()
        await self.redis.aclose()
        for key in self.client.scan_iter(f"{keys.prefix('q')}*"):
            self.client.delete(key)
        self.client.close()

    async def both(self, call: Callable[[Broker], Awaitable[object]]) -> None:
        assert await call(self.redis) == await call(self.memory)

    async def send(self) -> None:
        new = [f"{len(self.ids) + i}" for i in range(self.random.randint(1, 30))]
        self.ids += new
        await self.publish(new, self.random.choice([None, None, 10, 40]))

    async def send_again(self) -> None:
        """Perhaps they are in a list already, because they were cancelled there."""
        if self.ids:
            await self.publish(self.random.choices(self.ids, k=3), None)

    async def publish(self, ids: list[str], max_pending: int | None) -> None:
        level = self.random.choice([Priority.NORMAL, Priority.NORMAL, Priority.HIGH])
        names = {i: self.random.choice(["q", "q", "q", "other"]) for i in ids}
        envelopes = [
            Envelope(
                id=i,
                queue="q",
                task_name=names[i],
                body=b"1",
                priority=level,
                max_pending=max_pending,
            )
            for i in ids
        ]
        await self.both(lambda broker: broker.publish(envelopes))

    async def cancel(self) -> None:
        if self.ids:
            await self.cancel_one(self.random.choice(self.ids))

    async def cancel_row(self) -> None:
        first = self.random.randint(0, len(self.ids))
        for task_id in self.ids[first : first + 40]:
            await self.cancel_one(task_id)

    async def cancel_one(self, task_id: str) -> None:
        ttl = self.random.choice([0.0, 0.0, 60.0])

        async def call(broker: Broker) -> bool | None:
            try:
                return await broker.cancel("q", task_id, ttl)
            except TaskNotFoundError:
                return None

        await self.both(call)

    async def claim(self) -> None:
        consumers = self.random.choice([self.knowing, self.knowing, self.rare])
        limit = self.random.choice([1, 1, 3, 20])
        got, expected = [(await one.claim(limit)).deliveries for one in consumers]
        assert [one.lease.id for one in got] == [one.lease.id for one in expected]
        self.held += zip(got, expected, strict=True)

    async def finish(self) -> None:
        self.random.shuffle(self.held)
        some = [self.held.pop() for _ in range(min(len(self.held), self.random.randint(1, 6)))]
        kind = self.random.choice(["front", "front", "back", "end", "dead"])

        def outcome(delivery: Delivery) -> Outcome:
            if kind in ("front", "back"):
                return Requeue(delivery.lease, front=kind == "front")
            status = Status.COMPLETED if kind == "end" else Status.FAILED
            return Finish(delivery.lease, status, result_ttl=0.0, dead=kind == "dead")

        await self.both(
            lambda broker: broker.finish([outcome(pair[broker is self.memory]) for pair in some])
        )
        if kind == "dead":
            ids = [mine.lease.id for mine, _ in some]
            await self.both(lambda broker: broker.replay("q", ids))

    async def clear(self) -> None:
        if self.random.random() < 0.3:
            await self.both(lambda broker: broker.clear("q"))

    async def compare(self) -> None:
        stats = [(await broker.stats(["q"]))[0] for broker in self.brokers]
        counts = [(one.by_priority, one.working, one.dead) for one in stats]
        assert counts[0] == counts[1]
        assert (stats[0].oldest is None) == (stats[1].oldest is None)
        assert stats[0].oldest is None or abs(stats[0].oldest - (stats[1].oldest or 0.0)) < 0.5
        lanes = self.memory._store._places("q").lanes
        lines = {lane.name: lane for lane in lanes.of("q")}
        for name in LANES:
            for level in Priority:
                lane = lines.get(name)
                expected = [] if lane is None else [r.id for r in lanes.first(lane, level, 10_000)]
                assert waiting(self.client, "q", name, level) == expected
                skipped = self.client.hget(keys.skipped("q", name, level), "")
                self.skipped = max(self.skipped, int(skipped or 0))
