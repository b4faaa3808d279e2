"""The Redis broker on a real server: what its keys should hold, and ways to spoil them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf

import redis
from msgspec import structs

from ltq.broker import Parcel
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import send_groups
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import DeadLetter, Envelope, Published
from ltq.options import Priority
from ltq.state import Status
from tests.model.reference import Claiming, Model
from tests.model.stores import LEASE, Place, Store
from tests.model.tasks import Letter, Task

ENDLESS = {
    *("active", "delayed", "due", "leases", "lease_ends", "wake", "lanes", "queue_lanes"),
    *("ready", "served", "skipped", "paused", "schedules", "removed_schedules", "endings"),
}
"""Kinds of keys without a TTL, but for the tasks that are not final: see `lua/README.md`."""

GRACE = 1000.0
"""Seconds for which these consumers leave a lease that has ended to others."""

JUST_NOW = 4
"""The `past` of a lease that ended within that grace."""

LONG_AGO, FINITE = 1e6, 1e12
"""Moments before all that is just now, and after it."""


class RedisStore(Store):
    """A Redis broker on a real server, and a client that looks at the keys."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.broker: RedisBroker = RedisBroker(f"{url}?notifications=poll")
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.raw = redis.Redis.from_url(url)
        self.prefix = keys.prefix(self.namespace)
        self.is_full = False

    async def open(self) -> None:
        await super().open()
        for consumer in self.consumers.values():
            assert isinstance(consumer, RedisConsumer)
            assert 0 <= consumer._grace <= 1
            consumer._grace = GRACE

    async def aclose(self) -> None:
        self.fill(False)
        await super().aclose()
        if left := self.keys():
            self.client.delete(*left)
        self.client.srem(keys.namespaces, self.namespace)
        self.client.hdel(keys.schedule_marks, self.namespace)
        self.client.close()
        self.raw.close()

    def tick(self) -> None:
        """The server's time goes on by itself."""

    @property
    def now(self) -> float:
        return inf  # what is not due by `overtake` has no end here

    def model(self) -> Model:
        return _RedisModel()

    def keys(self) -> list[str]:
        return sorted(map(str, self.client.keys(f"{self.prefix}*")))

    def consumer(self, name: str, lanes: int) -> RedisConsumer:
        consumer = self.consumers[name, lanes]
        assert isinstance(consumer, RedisConsumer)
        return consumer

    # Calls that a lost reply makes come again

    def repeat_claim(self, consumer: RedisConsumer) -> list[str]:
        """Make the consumer repeat its last claim; the ids which that one gave."""
        record = self.client.get(keys.claim(self.namespace, consumer.name))
        if record is None:
            return []
        head, *ids = str(record).split("\n")
        claim_id, _, _ = head.partition(" ")  # and when it was
        group = consumer._groups[0]
        group.claim_id, group.again = claim_id, "1"
        return ids

    async def send_again(self, envelope: Envelope) -> Published:
        """What the link sends after it got no answer to a send of a new id."""
        link, again = self.broker._here().links.any, structs.replace(envelope, has_new_id=True)
        call = calls.SendCall(prefix=self.prefix, groups=send_groups([again]))
        (answer,) = (await link.evaluate(call.repeated())).answers
        return answer

    async def replay(self, queue: str, call: str, ids: list[str]) -> list[Published]:
        """A replay by a call of a known id."""
        replay = calls.ReplayCall(prefix=self.prefix, queue=queue, call=call, ids=ids)
        return await self.broker._here().links.any.evaluate(replay)

    def claimed(self, model: Model, claim: Claiming) -> None:
        model.sweep(self.now, patient=True)
        ready = {task_id for task_id, place in self.places() if place is Status.PENDING}
        ghosts = {task.id for task in model.ghosts.values() if task.status is Status.PENDING}
        claim.found = frozenset(ghosts - ready)
        model.claim(claim, self.now, inf)

    async def rerun(
        self, queue: str, ids: list[str], new_ids: list[str], *, again: bool
    ) -> list[str]:
        """Send final tasks once more, under ids that are known."""
        pairs = [one for pair in zip(ids, new_ids, strict=True) for one in pair]
        call = calls.RerunCall(prefix=self.prefix, queue=queue, tasks=pairs)
        return await self.broker._here().links.any.evaluate(call.repeated() if again else call)

    # Time, and accidents

    def overtake(self, task: Task, past: int) -> None:
        if task.status.is_final:
            self.client.delete(keys.task(self.namespace, task.id))
            task.expires = 0.0
            return
        delayed = task.status is Status.DELAYED
        zset, index = (keys.delayed, keys.due) if delayed else (keys.leases, keys.lease_ends)
        unit = 1 if delayed else 1000  # of a second
        when = self._server_time() - GRACE / 2 if past == JUST_NOW else float(past)
        with self.room():
            self.client.zadd(zset(self.namespace, task.queue), {task.id: when * unit})
            self.client.zadd(index(self.namespace), {task.queue: when * unit}, lt=True)
        task.when = self._score(zset(self.namespace, task.queue), task.id) / unit

    def token_of(self, parcel: Parcel) -> int:
        return parcel.dequeue_count

    def due(self, when: float) -> float:
        return when if when <= self._server_time() else inf

    def _server_time(self) -> float:
        seconds, micros = self.client.time()
        return float(seconds) + float(micros) / 1e6

    def age(self, queue: str, seconds: float) -> None:
        dead = keys.dead(self.namespace, queue)
        with self.room():
            for task_id in self._zset(dead):
                moment = self._score(dead, task_id) - seconds
                self.client.zadd(dead, {task_id: f"{moment:.6f}"})
                letter = keys.dead_letter(self.namespace, task_id)
                self.client.hset(letter, "release_time", f"{moment:.6f}")

    def fill(self, full: bool) -> None:
        """Let the server have no memory left, or have some again."""
        if full != self.is_full:
            self.client.config_set("maxmemory", 1 if full else 0)
            self.is_full = full

    @contextmanager
    def room(self) -> Iterator[None]:
        """There is memory meanwhile."""
        full = self.is_full
        self.fill(False)
        yield
        self.fill(full)

    def spoil(self, task_id: str, kind: str) -> None:
        """Break a task's record as a partial restore or another program might."""
        key = keys.task(self.namespace, task_id)
        with self.room():
            if kind in ("gone", "string"):
                self.client.delete(key)
                if kind == "string":
                    self.client.set(key, "x")
            else:
                self.client.hdel(key, kind)

    def take_wake_up(self, consumer: RedisConsumer, queue: str) -> None:
        """What a consumer that waits does when a lane has something for it."""
        key = keys.wake(self.namespace, queue)
        if self.client.zpopmin(key):
            consumer._groups[0].woken.add(queue)

    def dump(self) -> object:
        keys = self.keys()
        pipeline = self.raw.pipeline(transaction=False)
        for key in keys:
            pipeline.dump(key)
        return dict(zip(keys, pipeline.execute(), strict=True))

    def places(self) -> Iterable[Place]:
        for queue in self.queues:
            lines = (waiting(self.client, self.namespace, queue, level) for level in Priority)
            yield from ((task_id, Status.PENDING) for line in lines for task_id in line)
            delayed = keys.delayed(self.namespace, queue)
            yield from ((task_id, Status.DELAYED) for task_id in self._zset(delayed))
            leases = keys.leases(self.namespace, queue)
            yield from ((task_id, Status.WORKING) for task_id in self._zset(leases))
        yield from self._final()

    def _final(self) -> Iterator[Place]:
        final = {status.value for status in Status if status.is_final}
        prefix = keys.task(self.namespace, "")
        for key in self.keys():
            if key.startswith(prefix) and self.client.type(key) == "hash":
                status = self.client.hget(key, "status")
                if status in final:
                    yield key.removeprefix(prefix), str(status)

    def _zset(self, key: str) -> list[str]:
        return [str(member) for member in self.client.zrange(key, 0, -1)]

    def _score(self, key: str, member: str) -> float:
        return float(self.client.zscore(key, member) or 0.0)

    def check(self, model: Model) -> None:
        for queue in self.queues:
            self._check_queue(model, queue)
        for task in model.tasks.values():
            self._check_hash(task)
        self._check_keys(model)

    def ends(self, schedule: str) -> bool:
        """Whether what is known of a schedule has a TTL."""
        return self.client.ttl(keys.slot(self.namespace, schedule)) >= 0

    def check_leases(self, task_ids: Iterable[str]) -> None:
        """These have a whole lease before them."""
        soon = self._server_time() + LEASE / 2
        for task_id, place in self.places():
            if task_id in task_ids and place is Status.WORKING:
                leases = [keys.leases(self.namespace, queue) for queue in self.queues]
                assert max(self._score(key, task_id) for key in leases) > soon * 1000, task_id

    def check_order(self, seen: list[DeadLetter], expected: list[Letter]) -> None:
        moments = [(letter.time, letter.id) for letter in seen]
        assert moments == sorted(moments, reverse=True)
        steps = {letter.id: letter.step for letter in expected if not letter.is_moved}
        order = [steps[letter.id] for letter in seen if letter.id in steps]
        assert order == sorted(order, reverse=True)

    def _groups(self) -> Iterator[LaneGroup]:
        for consumer in self.consumers.values():
            assert isinstance(consumer, RedisConsumer)
            yield from consumer._groups

    def _check_queue(self, model: Model, queue: str) -> None:
        pipeline = self.client.pipeline(transaction=False)
        pipeline.zrange(keys.delayed(self.namespace, queue), 0, -1, withscores=True)
        pipeline.zrange(keys.leases(self.namespace, queue), 0, -1, withscores=True)
        pipeline.zrange(keys.dead(self.namespace, queue), 0, -1)
        pipeline.zscore(keys.due(self.namespace), queue)
        pipeline.zscore(keys.lease_ends(self.namespace), queue)
        pipeline.zrange(keys.active(self.namespace), 0, -1)
        pipeline.exists(keys.wake(self.namespace, queue))
        delayed, leases, dead, due, lease_ends, active, woken = pipeline.execute()
        lines = [waiting(self.client, self.namespace, queue, level) for level in Priority]
        assert lines == [model.lines[queue, level] for level in Priority]
        assert {name for name, _ in delayed} == ids(model.of(Status.DELAYED, queue))
        assert {name for name, _ in leases} == ids(model.of(Status.WORKING, queue))
        assert set(dead) == {letter.id for letter in model.graveyard.of(queue)}
        check_index(due, delayed)
        check_index(lease_ends, leases)
        ready = {f"{level}:{queue}" for level in Priority if model.lines[queue, level]}
        assert ready <= set(active)
        woken = woken or any(queue in group.woken for group in self._groups())
        assert woken or not ready or queue in model.paused, (
            "tasks are ready, but no consumer would be woken"
        )

    def _check_hash(self, task: Task) -> None:
        key = keys.task(self.namespace, task.id)
        fields = ("status", "token", "returned", "tries", "deaths", "body")
        status, token, returned, tries, deaths, body = self.client.hmget(key, *fields)
        assert status == task.status.value
        by, _, place = str(returned or "0").partition(" ")
        counts = (int(token or 0), int(by), int(tries or 0), int(deaths or 0))
        assert counts == (task.token, task.returned, task.tries, task.deaths), task.id
        assert (place == "front") == task.front
        assert (body is None) == (task.status.is_final and not task.keeps_arguments)

    def _check_keys(self, model: Model) -> None:
        keys = self.keys()
        pipeline = self.client.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        for key, ttl in zip(keys, pipeline.execute(), strict=True):
            kind, _, name = key.removeprefix(self.prefix).partition(":")
            if (kind == "task" and name in model.ghosts) or kind == "slot":
                continue  # of slots the model itself says nothing
            if kind == "task":
                assert (ttl >= 0) == model.tasks[name].status.is_final, key
            else:
                assert (ttl >= 0) == (kind not in ENDLESS), key


class _RedisModel(Model):
    """There only `overtake` makes anything due: all other times are infinite."""

    def __init__(self) -> None:
        super().__init__(tie=lambda task: task.id)

    def _patience(self, now: float) -> float:
        return LONG_AGO

    def _overdue(self, status: Status, now: float) -> list[Task]:
        return super()._overdue(status, min(now, FINITE))

    def _note_end(self, task: Task, by: int) -> None:
        self.ended.setdefault(task.id, {})[task.status] = by

    def purge(self, now: float) -> None:
        super().purge(FINITE)


def waiting(client: "redis.Redis", namespace: str, lane: str, level: Priority) -> list[str]:
    """The tasks in a ready list, without the entries of cancelled ones, which must add up."""
    entries = [*map(str, client.lrange(keys.ready(namespace, lane, level), 0, -1))]
    left = {
        name: int(count)
        for name, count in client.hgetall(keys.skipped(namespace, lane, level)).items()
    }
    total, wanted = left.pop("", 0), []
    assert total == sum(left.values())
    for entry in entries:
        if left.get(entry):
            left[entry] -= 1
        else:
            wanted.append(entry)
    assert not any(left.values()), "entries are to be skipped that are not there"
    assert wanted or not entries, "nothing but entries to skip"
    return wanted


def ids(tasks: Iterable[Task]) -> set[str]:
    return {task.id for task in tasks}


def check_index(moment: float | None, members: list[tuple[str, float]]) -> None:
    """The index of a set names its queue, not later than its first member."""
    if members:
        assert moment is not None
        assert moment <= members[0][1]
