"""Somebody deletes or spoils a key by hand: the worker lives, and what is whole goes on."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis

import ltq
from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.state import Status
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load
from tests.faults.sent import send_holds, started

pytestmark = pytest.mark.slow

LEASE = 0.6

SOON = LEASE + 2.0
"""Seconds after which the damage is overcome."""

LATER = 10.0
"""Seconds a worker may take that has given up asking often."""

NAMESPACE = "faults"
QUEUE = jobs.double.queue

Handles = list[ltq.Handle[Any]]


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    """One server for all tests here: it is emptied before each."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(admin: redis.Redis) -> None:
    admin.flushall()


@pytest.fixture
async def worker(server: RedisServer, fleet: Fleet, broker: RedisBroker) -> WorkerProcess:
    """A live one, that has done something already."""
    worker = await fleet.start(server.url, lease=LEASE)
    await flows(jobs.last, 0, timeout=15)
    return worker


async def flows(task: ltq.Task[..., Any], *arguments: Any, timeout: float = SOON) -> None:
    """A task sent now is completed in time."""
    handle = await task.send(*arguments)
    assert (await handle.wait(timeout)).status is Status.COMPLETED


async def all_flows(timeout: float = SOON) -> None:
    """Tasks of every sort, sent now, end in time."""
    delayed = jobs.double.with_options(delay=0.05)
    for _ in range(3):
        await asyncio.gather(
            flows(jobs.last, 0, timeout=timeout),
            flows(jobs.double, 21, timeout=timeout),
            flows(delayed, 21, timeout=timeout),
            flows(jobs.limited, timeout=timeout),
        )


Heir = Callable[[Handles], Awaitable[None]]


@pytest.fixture
def heir(server: RedisServer, fleet: Fleet, broker: RedisBroker) -> Heir:
    """Repairs, and starts a worker that completes some tasks in time."""

    async def end(handles: Handles) -> None:
        await broker.repair((task.queue for task in jobs.worker.tasks.values()), lease=LEASE)
        await fleet.start(server.url, lease=LEASE)
        await flows(jobs.double, 21, timeout=15)
        for handle in handles:
            assert (await handle.wait(SOON)).status.is_final

    return end


async def is_buried(broker: Broker, queue: str, task_id: str, timeout: float = SOON) -> None:
    """A dead letter says that the task has no hash."""

    async def dead_letter() -> bool:
        return any(letter.id == task_id for letter in await broker.dead_letters(queue))

    await eventually(dead_letter, timeout, "a dead letter of the task that lost its hash")


async def is_nowhere(broker: Broker, *queues: str, timeout: float = SOON) -> None:
    """Nothing waits and nothing is leased, by the counts."""

    async def nothing() -> bool:
        return not any(
            one.pending + one.delayed + one.working for one in await broker.stats(queues)
        )

    await eventually(nothing, timeout, "the counts are 0")


@pytest.mark.usefixtures("worker")
class TestNoHash:
    async def test_of_a_pending_task(self, admin: redis.Redis, broker: RedisBroker) -> None:
        lost = await self._lose_while_pending(admin)
        await flows(jobs.double, 21)
        await is_nowhere(broker, QUEUE)
        with pytest.raises(TaskNotFoundError):
            await lost.wait(SOON)

    async def test_of_a_pending_task_there_is_a_letter(
        self, admin: redis.Redis, broker: RedisBroker
    ) -> None:
        lost = await self._lose_while_pending(admin)
        await is_buried(broker, QUEUE, lost.id)

    async def _lose_while_pending(self, admin: redis.Redis) -> ltq.Handle[Any]:
        """What a task is before any worker sees it, without its hash."""
        queue, task_id = jobs.double.queue, "lost"
        with admin.pipeline() as pipeline:
            pipeline.sadd(keys.lanes(NAMESPACE), queue)
            pipeline.rpush(keys.ready(NAMESPACE, queue, 1), task_id)
            pipeline.zadd(keys.active(NAMESPACE), {f"1:{queue}": 1e10 + time.time()})
            pipeline.zadd(keys.wake(NAMESPACE, queue), {"1": 0})
            pipeline.execute()
        return jobs.double.handle(task_id)

    async def test_of_a_delayed_task(self, admin: redis.Redis, broker: RedisBroker) -> None:
        lost = await jobs.double.with_options(delay=0.3).send(1)
        admin.delete(keys.task(NAMESPACE, lost.id))
        await flows(jobs.double.with_options(delay=0.3), 21)
        await is_nowhere(broker, QUEUE)

    async def test_of_a_running_task(
        self, admin: redis.Redis, broker: RedisBroker, ledger: Ledger
    ) -> None:
        handles = await send_holds(3)
        await started(ledger, handles)
        admin.delete(keys.task(NAMESPACE, handles[0].id))
        await flows(jobs.double, 21)
        ledger.open("gate")
        for handle in handles[1:]:
            assert (await handle.wait(SOON)).status is Status.COMPLETED
        await is_nowhere(broker, jobs.hold.queue)
        with pytest.raises(TaskNotFoundError):
            await handles[0].wait(SOON)

    async def test_of_a_lease(self, admin: redis.Redis, broker: RedisBroker) -> None:
        self._lease_nothing(admin)
        await flows(jobs.double, 21)
        await is_nowhere(broker, QUEUE)

    async def test_of_a_lease_there_is_a_letter(
        self, admin: redis.Redis, broker: RedisBroker
    ) -> None:
        self._lease_nothing(admin)
        await flows(jobs.double, 21)
        await is_buried(broker, QUEUE, "ghost")

    def _lease_nothing(self, admin: redis.Redis) -> None:
        soon = 1000 * (time.time() + 0.2)
        admin.zadd(keys.leases(NAMESPACE, QUEUE), {"ghost": soon})
        admin.zadd(keys.lease_ends(NAMESPACE), {QUEUE: soon})


@pytest.mark.usefixtures("broker")
class TestNoPlace:
    """The hash says where the task is, and it is not there: `repair` requeues it."""

    async def test_a_working_task_without_a_lease(
        self, worker: WorkerProcess, admin: redis.Redis, ledger: Ledger, heir: Heir
    ) -> None:
        handles = await send_holds(3)
        await started(ledger, handles)
        worker.signal(signal.SIGSTOP)  # no heartbeat requeues it
        assert admin.zrem(keys.leases(NAMESPACE, jobs.hold.queue), handles[0].id) == 1
        await worker.kill()
        ledger.open("gate")
        await heir([*handles])

    @pytest.mark.parametrize("left", [0, 1])
    async def test_a_pending_task_in_no_list(
        self, admin: redis.Redis, heir: Heir, left: int
    ) -> None:
        await heir(await self._lose(admin, left))

    async def test_a_worker_repairs_by_itself_soon_after_its_start(
        self, admin: redis.Redis, server: RedisServer, fleet: Fleet
    ) -> None:
        handles = await self._lose(admin, 1)
        await fleet.start(server.url, lease=LEASE)
        for handle in handles:
            assert (await handle.wait(15)).status is Status.COMPLETED

    async def _lose(self, admin: redis.Redis, left: int) -> Handles:
        """Of three pending tasks so many are left in their list."""
        handles: Handles = [await jobs.double.send(number) for number in range(3)]
        for _ in handles[left:]:
            assert admin.lpop(keys.ready(NAMESPACE, QUEUE, 1)) is not None
        return handles

    async def test_a_delayed_task_in_no_set(self, admin: redis.Redis, heir: Heir) -> None:
        handles: Handles = [await jobs.double.with_options(delay=0.5).send(1) for _ in range(2)]
        assert admin.zrem(keys.delayed(NAMESPACE, QUEUE), handles[0].id) == 1
        await heir(handles)

    @pytest.mark.parametrize("index", ["active", "due", "lease_ends"])
    async def test_an_index_that_is_gone(
        self, broker: RedisBroker, admin: redis.Redis, heir: Heir, index: str
    ) -> None:
        handles: Handles = [
            await jobs.double.send(1),
            await jobs.double.with_options(delay=0.5).send(1),
            await jobs.last.send(0),
        ]
        async with broker.consumer([jobs.last.queue], lease=0.5) as consumer:
            assert len((await consumer.claim(1)).deliveries) == 1
        assert admin.delete(keys.prefix(NAMESPACE) + index) == 1
        await heir(handles)


WRONG = {
    "ready": keys.ready(NAMESPACE, QUEUE, 1),
    "active": keys.active(NAMESPACE),
    "delayed": keys.delayed(NAMESPACE, QUEUE),
    "due": keys.due(NAMESPACE),
    "leases": keys.leases(NAMESPACE, QUEUE),
    "lease_ends": keys.lease_ends(NAMESPACE),
    "wake": keys.wake(NAMESPACE, QUEUE),
    "claim": keys.claim(NAMESPACE, ""),
    "rate": keys.rate(NAMESPACE, DeclaredTask.of(jobs.limited).lane),
    "lanes": keys.lanes(NAMESPACE),
    "dead": keys.dead(NAMESPACE, jobs.fail.queue),
    "dead_letter": keys.dead_letter(NAMESPACE, "dying"),
    "throughput": keys.throughput(NAMESPACE, QUEUE),
}

STRINGS = {"claim", "rate"}

LOSING = ["leases", "lease_ends", "rate"]
"""Keys that a claim meets when it has taken tasks already."""


class TestWrongType:
    @pytest.mark.parametrize("name", WRONG)
    async def test_other_queues_go_on(
        self, worker: WorkerProcess, admin: redis.Redis, name: str
    ) -> None:
        self._spoil(admin, name)
        await self._poke()
        timeout = LATER if name == "wake" else SOON  # nobody is woken: it looks ever more seldom
        for _ in range(3):
            await flows(jobs.last, 0, timeout=timeout)
        assert worker.exit_code is None

    @pytest.mark.parametrize("name", WRONG)
    async def test_all_go_on_when_it_is_gone(
        self, worker: WorkerProcess, admin: redis.Redis, name: str
    ) -> None:
        await self._spoil_for_a_while(admin, name)
        await all_flows(LATER)
        assert worker.exit_code is None

    @pytest.mark.parametrize("name", LOSING)
    async def test_nothing_that_was_acknowledged_is_lost(
        self, worker: WorkerProcess, admin: redis.Redis, heir: Heir, name: str
    ) -> None:
        handles = await self._spoil_for_a_while(admin, name)
        await heir(handles)

    async def _spoil_for_a_while(self, admin: redis.Redis, name: str) -> Handles:
        """Spoil it and remove it again; what was acknowledged meanwhile."""
        key = self._spoil(admin, name)
        handles = await self._poke()
        with suppress(ltq.ResultTimeoutError, BrokerError):
            await flows(jobs.last, 0, timeout=0.5)
        admin.delete(key)
        return handles

    def _spoil(self, admin: redis.Redis, name: str) -> str | bytes:
        """Put something else there; the key."""
        key: str | bytes = WRONG[name]
        if name == "claim":
            (key,) = admin.keys(WRONG[name] + "*")
        admin.delete(key)
        if name in STRINGS:
            admin.rpush(key, "garbage")
        else:
            admin.set(key, "garbage")
        return key

    async def _poke(self) -> Handles:
        """Use the key in every way; what was acknowledged."""
        handles: Handles = []
        for task in (jobs.double, jobs.double.with_options(delay=0.05)):
            with suppress(BrokerError):
                handles.append(await task.send(1))
        for other in (jobs.limited, jobs.fail.with_options(id="dying")):
            with suppress(BrokerError):
                handles.append(await other.send())
        return handles


CLAIMS = [b"", b"\n", b"garbage", b"\xff\xfe\n\x00", b"a\nb\nc", b"\n\n\n", b"x" * 100_000]


class TestGarbage:
    async def test_as_the_last_claim(self, worker: WorkerProcess, admin: redis.Redis) -> None:
        (key,) = admin.keys(keys.claim(NAMESPACE, "*"))
        for garbage in CLAIMS:
            admin.set(key, garbage)
            await flows(jobs.double, 21)

    @pytest.mark.parametrize("moments", [[b"garbage", b"-inf", b"\xff"], [b"nan"]])
    async def test_as_a_rate(
        self, worker: WorkerProcess, admin: redis.Redis, moments: list[bytes]
    ) -> None:
        for moment in moments:
            admin.set(keys.rate(NAMESPACE, DeclaredTask.of(jobs.limited).lane), moment)
            await flows(jobs.limited)
            await flows(jobs.double, 21)

    async def test_as_moments_of_an_index(self, worker: WorkerProcess, admin: redis.Redis) -> None:
        for score in ("-inf", "+inf", "0"):
            for key in (keys.due(NAMESPACE), keys.lease_ends(NAMESPACE), keys.active(NAMESPACE)):
                admin.zadd(key, {"nobody:knows": score, "": score, "\xff": score})
            await all_flows()


class TestFlushed:
    async def test_under_load(
        self, worker: WorkerProcess, admin: redis.Redis, ledger: Ledger, broker: RedisBroker
    ) -> None:
        async with Load(ledger) as load:
            held = await send_holds(5)
            await started(ledger, held)
            for _ in range(3):
                admin.flushall()
                assert await load.flows(SOON) <= SOON
            for handle in held:
                with pytest.raises(TaskNotFoundError):
                    await handle.wait(SOON)
            ledger.open("gate")
            await load._stop()
            ends = await asyncio.wait_for(
                asyncio.gather(*load._waiters.values(), return_exceptions=True), 10
            )
        lost = [end for end in ends if isinstance(end, BaseException)]
        assert all(isinstance(end, TaskNotFoundError) for end in lost), lost
        assert worker.exit_code is None
        await is_nowhere(broker, QUEUE, jobs.hold.queue)
