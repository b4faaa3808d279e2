"""The brokers that are compared with the model, and a look inside each."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import inf
from typing import Any

import redis

from ltq.broker import Broker, Consumer
from ltq.brokers import _keys
from ltq.brokers._consumer import RedisConsumer
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.message import Delivery
from ltq.options import Priority
from ltq.state import Status
from tests.model.reference import Model, Task

LEASE = 3600.0
"""Longer than a test: on Redis a lease ends only where the test says so."""

ENDLESS = {"active", "delayed", "due", "leases", "expiry", "wake", "lanes", "ready"}
"""Kinds of keys without a TTL, but for the tasks that are not final: see `lua/README.md`."""

_names = itertools.count()


class Store(ABC):
    """A broker under test, in a namespace of its own."""

    broker: Broker

    def __init__(self) -> None:
        self.namespace = f"model{next(_names)}"
        self.queues = (f"{self.namespace}:first", f"{self.namespace}:second")
        self.loop = asyncio.new_event_loop()

    async def open(self) -> None:
        """Make consumers: they belong to the running loop."""
        self.consumers: dict[tuple[str, int], Consumer] = {
            (name, lanes): self.broker.consumer(self.queues[:lanes], name=name, lease=LEASE)
            for name in "ab"
            for lanes in (1, 2)
        }

    async def aclose(self) -> None:
        for consumer in self.consumers.values():
            await consumer.aclose()
        await self.broker.aclose()

    @abstractmethod
    def tick(self) -> None:
        """Time goes on a little."""

    @property
    @abstractmethod
    def now(self) -> float:
        """The model's time."""

    @abstractmethod
    def model(self) -> Model: ...

    @abstractmethod
    def take(self, model: Model, name: str, lanes: int, limit: int, got: list[Delivery]) -> None:
        """Tell the model of a claim."""

    @abstractmethod
    def overtake(self, task: Task, past: int) -> None:
        """Let the time of a delayed or leased task come, or the end of a final state."""

    @abstractmethod
    def dump(self) -> object:
        """All there is."""

    @abstractmethod
    def check(self, model: Model) -> None:
        """Compare all places with the model."""


class MemoryStore(Store):
    """A memory broker with a clock that stands still unless told."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 1_000_000.0
        self.broker: MemoryBroker = MemoryBroker(f"memory://{self.namespace}", clock=self._clock)

    def _clock(self) -> float:
        return self._time

    def tick(self) -> None:
        self._time += 2.0**-10  # exact, as all times here

    @property
    def now(self) -> float:
        return self._time

    def model(self) -> Model:
        return Model(tie=lambda task: task.number)

    def take(self, model: Model, name: str, lanes: int, limit: int, got: list[Delivery]) -> None:
        model.sweep(self.now)
        queues = self.queues[:lanes]
        assert len(got) == min(limit, model.ready(queues))
        model.take(queues, got, name, self.now + LEASE)

    def overtake(self, task: Task, past: int) -> None:
        self._time = max(self._time, min(task.when, task.expires))

    def dump(self) -> object:
        places = self.broker._store._space(self.namespace, self.now).places
        lines = {name: [list(line) for line in lane.lines] for name, lane in places.lanes.items()}
        tables = [dict(table._entries) for table in (places.delayed, places.leased, places.final)]
        states = [(record.state(), record.token, record.tries) for record in self._records()]
        return lines, tables, states, dict(places.counts)

    def _records(self) -> list[Any]:
        space = self.broker._store._space(self.namespace, self.now)
        return list(space.places.records.values())

    def check(self, model: Model) -> None:
        places = self.broker._store._space(self.namespace, self.now).places
        for queue in self.queues:
            for level in Priority:
                line = [*places.lane(queue).lines[level]]
                assert line == model.lines[queue, level]
        for table, status in (
            (places.delayed, Status.DELAYED),
            (places.leased, Status.WORKING),
        ):
            assert {record.id for record in table} == {task.id for task in model.of(status)}
        for record in self._records():
            task = model.tasks[record.id]
            counts = (record.token, record.tries, record.deaths)
            assert counts == (task.token, task.tries, task.deaths), record.id
        assert len(places.records) == len(model.tasks)


class RedisStore(Store):
    """A Redis broker on a real server, and a client that looks at the keys."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.broker: RedisBroker = RedisBroker(f"{url}?notifications=poll")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.raw = redis.Redis.from_url(url)
        self.prefix = _keys.prefix(self.namespace)

    async def aclose(self) -> None:
        await super().aclose()
        keys = self.keys()
        if keys:
            self.client.delete(*keys)
        self.client.srem(_keys.NAMESPACES, self.namespace)
        self.client.close()
        self.raw.close()

    def tick(self) -> None:
        """The server's time goes on by itself."""

    @property
    def now(self) -> float:
        return inf  # what is not due by `overtake` has no end here

    def model(self) -> Model:
        return _RedisModel(tie=lambda task: task.id)

    def keys(self) -> list[str]:
        return sorted(map(str, self.client.keys(f"{self.prefix}*")))

    def take(self, model: Model, name: str, lanes: int, limit: int, got: list[Delivery]) -> None:
        model.sweep(self.now)
        queues = self.queues[:lanes]
        assert len(got) == min(limit, model.ready(queues))
        model.take(queues, got, name, inf)

    def repeat(self, consumer: Consumer) -> list[str]:
        """Make the consumer repeat its last claim; the ids which that one gave."""
        assert isinstance(consumer, RedisConsumer)
        record = self.client.get(_keys.claim(self.namespace, consumer.name))
        if record is None:
            return []
        claim_id, *ids = str(record).split("\n")
        consumer._groups[0].claim_id = claim_id
        return ids

    def overtake(self, task: Task, past: int) -> None:
        if task.status.is_final:
            self.client.delete(_keys.task(self.namespace, task.id))
            task.expires = 0.0
            return
        delayed = task.status is Status.DELAYED
        zset, index = (_keys.delayed, _keys.due) if delayed else (_keys.leases, _keys.expiry)
        self.client.zadd(zset(self.namespace, task.queue), {task.id: past})
        self.client.zadd(index(self.namespace), {task.queue: past}, lt=True)
        task.when = past

    def dump(self) -> object:
        keys = self.keys()
        pipeline = self.raw.pipeline(transaction=False)
        for key in keys:
            pipeline.dump(key)
        return dict(zip(keys, pipeline.execute(), strict=True))

    def check(self, model: Model) -> None:
        for queue in self.queues:
            self._check_queue(model, queue)
        for task in model.tasks.values():
            self._check_hash(task)
        self._check_keys(model)

    def _check_queue(self, model: Model, queue: str) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for level in Priority:
            pipeline.lrange(_keys.ready(self.namespace, queue, level), 0, -1)
        pipeline.zrange(_keys.delayed(self.namespace, queue), 0, -1, withscores=True)
        pipeline.zrange(_keys.leases(self.namespace, queue), 0, -1, withscores=True)
        pipeline.zrange(_keys.dead(self.namespace, queue), 0, -1)
        pipeline.zscore(_keys.due(self.namespace), queue)
        pipeline.zscore(_keys.expiry(self.namespace), queue)
        pipeline.zrange(_keys.active(self.namespace), 0, -1)
        pipeline.exists(_keys.wake(self.namespace, queue))
        *lines, delayed, leases, dead, due, expiry, active, woken = pipeline.execute()
        assert lines == [model.lines[queue, level] for level in Priority]
        assert {name for name, _ in delayed} == ids(model.of(Status.DELAYED, queue))
        assert {name for name, _ in leases} == ids(model.of(Status.WORKING, queue))
        assert set(dead) == model.dead[queue]
        check_index(due, delayed)
        check_index(expiry, leases)
        waiting = {f"{level}:{queue}" for level in Priority if model.lines[queue, level]}
        assert waiting <= set(active)
        assert woken or not waiting, "tasks are ready, but no consumer would be woken"

    def _check_hash(self, task: Task) -> None:
        key = _keys.task(self.namespace, task.id)
        status, token, tries, deaths, body = self.client.hmget(
            key, "status", "token", "tries", "deaths", "body"
        )
        assert status == task.status.value
        assert (int(token or 0), int(tries or 0)) == (task.token, task.tries)
        assert int(deaths or 0) in (task.deaths, task.deaths - task.status.is_final)
        assert (body is None) == task.status.is_final

    def _check_keys(self, model: Model) -> None:
        keys = self.keys()
        pipeline = self.client.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        for key, ttl in zip(keys, pipeline.execute(), strict=True):
            kind, _, name = key.removeprefix(self.prefix).partition(":")
            if kind == "task":
                assert (ttl >= 0) == model.tasks[name].status.is_final, key
            else:
                assert (ttl >= 0) == (kind not in ENDLESS), key


class _RedisModel(Model):
    """There only `overtake` makes anything due: all other times are infinite."""

    def _overdue(self, status: Status, now: float) -> list[Task]:
        return super()._overdue(status, 1e9)

    def purge(self, now: float) -> None:
        super().purge(1e9)


def ids(tasks: Iterable[Task]) -> set[str]:
    return {task.id for task in tasks}


def check_index(moment: float | None, members: list[tuple[str, float]]) -> None:
    """The index of a set names its queue, not later than its first member."""
    if members:
        assert moment is not None
        assert moment <= members[0][1]
