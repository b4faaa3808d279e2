"""Random walks through a shared queue: consumers that know different tasks, and what they meet.

The order of every line is looked up before and after each claim: what a claim gives from a line and
what it moves out of it must be what comes first there, and go where the rule says.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from ltq.broker import Broker, Claim, ConsumerConfig
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Envelope, Finish, Lease, Published, Receipt, Requeue, own_lane
from ltq.options import Limit, Priority
from ltq.state import Status
from tests.model.redis_store import waiting

T = TypeVar("T")

TASKS = ("shop:a", "shop:b", "bank:c")
MANY = 60.0

Line = tuple[str, Priority]
"""A lane and a priority."""

Lines = Mapping[Line, Sequence[str]]

_numbers = count()


class SharedStore(ABC):
    """A broker with one shared queue, and a look at its lines."""

    broker: Broker

    def __init__(self) -> None:
        self.queue = f"shared{next(_numbers)}"

    @abstractmethod
    def lines(self) -> Lines:
        """The ids in each line that is not empty."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class SharedMemory(SharedStore):
    def __init__(self) -> None:
        super().__init__()
        self.broker: MemoryBroker = MemoryBroker(f"memory://{self.queue}")

    def lines(self) -> Lines:
        lanes = self.broker._store._places(self.queue).lanes
        assert all(lane.name == self.queue or self.is_kept(lane) for lane in lanes.of(self.queue))
        return {
            (lane.name, level): [record.id for record in lanes.first(lane, level, 1000)]
            for lane in lanes.of(self.queue)
            for level in Priority
            if lane.ready[level]
        }

    def close(self) -> None:
        self.broker.forget()

    @staticmethod
    def is_kept(lane: Any) -> bool:
        """Whether there is a reason to keep the lane of a task."""
        return any(lane.ready) or lane.working or any(lane.served)


class SharedRedis(SharedStore):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.broker = RedisBroker(f"{url}?notifications=poll")
        self.client = redis.Redis.from_url(url, decode_responses=True)

    def lines(self) -> Lines:
        start = f"{keys.prefix(self.queue)}ready:"
        found: dict[Line, Sequence[str]] = {}
        for key in map(str, self.client.keys(f"{start}*")):
            level, _, lane = key.removeprefix(start).partition(":")
            found[lane, Priority(int(level))] = waiting(
                self.client, self.queue, lane, Priority(int(level))
            )
        lanes = {lane for lane, _ in found if lane != self.queue}
        assert lanes == set(
            map(str, self.client.zrange(keys.queue_lanes(self.queue, self.queue), 0, -1))
        )
        return found

    def close(self) -> None:
        for key in self.client.keys(f"{keys.prefix(self.queue)}*"):
            self.client.delete(key)
        self.client.close()


@dataclass
class Sent:
    """A task, and the lane it must be in."""

    name: str
    level: Priority
    lane: str
    dequeues: int = 0
    requeues: int = 0
    lease: Lease | None = None
    front: int | None = None
    """The token of the lease with which it came back to the front, where it still waits."""


class Sharing(RuleBasedStateMachine):
    """Consumers of one shared queue."""

    leases = Bundle("leases")

    def __init__(self, make: Callable[[], SharedStore]) -> None:
        super().__init__()
        self.store = make()
        self.broker, self.queue = self.store.broker, self.store.queue
        self.loop = asyncio.new_event_loop()
        self.tasks: dict[str, Sent] = {}
        self.limit = Limit(running=1)
        lane = own_lane(self.queue, "shop:a")
        self.configs = {
            "a": self.config("shop:a"),
            "ab": self.config("shop:a", "shop:b"),
            "limited": self.config("shop:a", "shop:b", limits={lane: self.limit}),
            "bc": self.config("shop:b", "bank:c"),
            "none": self.config(),
            "all": ConsumerConfig(lanes=(self.queue,), lease=MANY),
        }
        self.consumers = {
            name: self.run(self.open(config)) for name, config in self.configs.items()
        }

    def config(self, *names: str, limits: Mapping[str, Limit] | None = None) -> ConsumerConfig:
        lanes = (self.queue,)
        return ConsumerConfig(
            lanes=lanes, lease=MANY, knows=frozenset(names), limits=dict(limits or {})
        )

    async def open(self, config: ConsumerConfig) -> Any:
        return self.broker.open_consumer(config)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.run(self.broker.aclose())
        self.loop.close()
        self.store.close()

    # Steps

    @rule(
        names=st.lists(st.sampled_from(TASKS), min_size=1, max_size=5),
        level=st.sampled_from(Priority),
        in_lane=st.booleans(),
        most=st.none() | st.integers(1, 12),
    )
    def publish(self, names: list[str], level: Priority, in_lane: bool, most: int | None) -> None:
        envelopes, expected = [], []
        for name in names:
            task_id = f"t{next(_numbers)}"
            lane = own_lane(self.queue, name) if in_lane else ""
            envelopes.append(
                Envelope(
                    id=task_id,
                    queue=self.queue,
                    task_name=name,
                    body=b"",
                    lane=lane,
                    priority=level,
                    max_pending=most,
                )
            )
            if most is not None and len(self.waiting()) >= most:
                expected.append(Published.FULL)
            else:
                expected.append(Published.CREATED)
                self.tasks[task_id] = Sent(name, level, lane or self.queue)
        assert self.run(self.broker.publish(envelopes)) == expected

    @rule(target=leases, who=st.sampled_from(["a", "ab", "limited", "bc", "none", "all"]),
          limit=st.sampled_from([0, 1, 2, 5, 20]))  # fmt: skip
    def claim(self, who: str, limit: int) -> Any:
        before = self.store.lines()
        claim: Claim = self.run(self.consumers[who].claim(limit))
        after = self.store.lines()
        config = self.configs[who]
        given = [delivery.lease.id for delivery in claim.deliveries]
        assert len(given) <= limit
        moved = self.check_moves(config, before, after, given)
        assert set(claim.moved) >= moved
        assert not claim.moved or (claim.due_in == 0 and limit > 0)
        self.check_given(config, before, after, given)
        if len(given) < limit and not config.limits and claim.due_in != 0:
            assert self.ready_for(config, after) == [], "ready tasks were not given"
        for delivery in claim.deliveries:
            task = self.tasks[delivery.lease.id]
            task.dequeues += 1
            task.lease, task.front = delivery.lease, None
            assert (delivery.dequeue_count, delivery.deaths) == (task.dequeues, 0)
            assert delivery.task_name == task.name
        return multiple(*(delivery.lease for delivery in claim.deliveries))

    def check_moves(
        self, config: ConsumerConfig, before: Lines, after: Lines, given: list[str]
    ) -> set[str]:
        """What left a line and was not given is behind the others in the lane of its own."""
        arrived: dict[Line, list[str]] = defaultdict(list)
        for (lane, level), line in before.items():
            left = [one for one in line if one not in after.get((lane, level), ())]
            for task_id in left:
                task = self.tasks[task_id]
                other = config.lane_for(lane, self.queue, task.name)
                if other is None:
                    assert task_id in given, "it was moved without a reason"
                else:
                    arrived[other, level].append(task_id)
                    task.lane = other
        for where, ids in arrived.items():
            stayed = [one for one in [*before.get(where, ()), *ids] if one not in given]
            assert list(after.get(where, ())) == stayed, "the order of a lane"
        return {lane for lane, _ in arrived}

    def check_given(
        self, config: ConsumerConfig, before: Lines, after: Lines, given: list[str]
    ) -> None:
        """From each line the first ones that may be given, strictly by priority."""
        by_line: dict[Line, list[str]] = defaultdict(list)
        for task_id in given:
            task = self.tasks[task_id]
            assert config.serves(task.lane)
            assert config.knows is None or task.name in config.knows
            by_line[task.lane, task.level].append(task_id)
        for line, ids in by_line.items():
            open_ = [one for one in before.get(line, ()) if self.may_give(config, line[0], one)]
            known = [one for one in ids if one in open_]
            assert known == open_[: len(known)], "first in, first out"
        if given and not config.limits:
            lowest = max(self.tasks[one].level for one in given)
            rest = [self.tasks[one].level for one in self.ready_for(config, after)]
            assert lowest <= min(rest, default=lowest), "priorities are strict"

    def may_give(self, config: ConsumerConfig, lane: str, task_id: str) -> bool:
        return config.lane_for(lane, self.queue, self.tasks[task_id].name) is None

    def ready_for(self, config: ConsumerConfig, lines: Lines) -> list[str]:
        return [
            one
            for (lane, _), line in lines.items()
            if config.serves(lane)
            for one in line
            if self.may_give(config, lane, one)
        ]

    @rule(lease=leases, front=st.booleans())
    def requeue(self, lease: Lease, front: bool) -> None:
        task = self.tasks.get(lease.id)
        expected = Receipt.OK if task is not None and task.lease == lease else None
        (receipt,) = self.run(self.broker.finish([Requeue(lease, front=front)]))
        if task is not None and expected is Receipt.OK:
            assert receipt is Receipt.OK
            task.lease, task.requeues = None, task.requeues + 1
            task.front = lease.token if front else None
            line = self.store.lines()[task.lane, task.level]
            if front:
                ahead = [self.tasks[one].front for one in line[: line.index(lease.id)]]
                assert all(token is not None and token < lease.token for token in ahead)
            else:
                assert line[-1] == lease.id, "it came back to another lane"

    @rule(lease=leases)
    def finish(self, lease: Lease) -> None:
        task = self.tasks.get(lease.id)
        self.run(self.broker.finish([Finish(lease, Status.COMPLETED, result_ttl=0)]))
        if task is not None and task.lease == lease:
            del self.tasks[lease.id]

    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        waiting = self.waiting()
        if waiting:
            task_id = waiting[number % len(waiting)]
            assert self.run(self.broker.cancel(self.queue, task_id, 0.0))
            del self.tasks[task_id]

    @rule()
    def clear(self) -> None:
        waiting = self.waiting()
        if len(waiting) > 8:
            assert self.run(self.broker.clear(self.queue)) == len(waiting)
            for task_id in waiting:
                del self.tasks[task_id]

    def waiting(self) -> list[str]:
        return [task_id for task_id, task in self.tasks.items() if task.lease is None]

    # After each

    @invariant()
    def each_waits_in_its_line(self) -> None:
        lines = {one: line for line, ids in self.store.lines().items() for one in ids}
        assert lines == {
            task_id: (self.tasks[task_id].lane, self.tasks[task_id].level)
            for task_id in self.waiting()
        }

    @invariant()
    def the_queue_counts_them_all(self) -> None:
        (stats,) = self.run(self.broker.stats([self.queue]))
        waiting = self.waiting()
        assert (stats.pending, stats.working) == (len(waiting), len(self.tasks) - len(waiting))
        assert set(stats.unserved) <= {self.tasks[one].name for one in waiting}
        assert sum(stats.unserved.values()) <= stats.pending

    @invariant()
    def nothing_else_changes(self) -> None:
        ids = list(self.tasks)
        for task_id, state in zip(ids, self.run(self.broker.states(self.queue, ids)), strict=True):
            task = self.tasks[task_id]
            assert state is not None
            assert state.status is (Status.WORKING if task.lease else Status.PENDING)
            assert (state.dequeue_count, state.requeue_count) == (task.dequeues, task.requeues)
