"""A process ends at each point of its life in turn: another goes on, and nothing runs in vain.

The cases of one point go on at the same time, each in a database of its own.
"""

import asyncio
import copy
import math
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

import ltq
from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.message import Published
from ltq.state import Status, TaskState
from tests.eventually import eventually
from tests.faults import crash, jobs
from tests.faults.sent import produce

pytestmark = pytest.mark.slow

LEASE = 1.0

RECOVERY = LEASE + 2.0
"""Seconds after which everything has ended, from the death of the first worker."""

DOUBLES: dict[str, ltq.Task[[int], int]] = {
    "async": jobs.double,
    "thread": jobs.double_in_thread,
}
HOLDS: dict[str, ltq.Task[[str], int]] = {"async": jobs.hold, "thread": jobs.hold_in_thread}

PLACES = ("ready:", "delayed:", "leases:", "due", "lease_ends")
"""What the keys begin with in which a task that has not ended is."""


@dataclass(frozen=True)
class Case:
    """How often the point is reached before, which sort of task, and how many of them."""

    kind: str
    count: int
    nth: int = 1


ALL = [Case("async", 1), Case("async", 32), Case("thread", 1), Case("thread", 32)]
NOTHING_RUNS = [Case("async", 1), Case("thread", 32)]


@pytest.fixture(scope="module")
def calm_server(redis_executable: str) -> Iterator[RedisServer]:
    """One server for all: nothing is done to it but FLUSHALL."""
    with RedisServer(redis_executable) as server:
        yield server


@dataclass(frozen=True)
class _Source:
    broker: Broker


class Scene:
    """One case: a worker that dies, an heir that waits for its death, and the tasks."""

    def __init__(self, stage: "Stage", number: int, case: Case) -> None:
        self.case = case
        self.ledger = stage.ledger
        self.url = stage.server.url.removesuffix("/0") + f"/{number}"
        self.broker = RedisBroker(self.url)
        self.handles: list[ltq.Handle[Any]] = []
        self._fleet = stage.fleet
        self.gate = f"gate-{number}"
        self._go = f"go-{number}"
        self._at_death: dict[str, TaskState[bytes]] = {}
        self._died = math.inf

    async def send(self, task: ltq.Task[..., Any], *arguments: Any, delay: float = 0.0) -> None:
        """As many as the case says, to the case's own database."""
        here = copy.copy(task.with_options(delay=delay))
        here.__dict__["_source"] = _Source(self.broker)
        messages = [here.message(*arguments) for _ in range(self.case.count)]
        self.handles = await here.send_many(messages)

    async def start(self, point: str) -> WorkerProcess:
        """Start the worker that shall die, and the heir."""
        nth = self.case.nth
        victim, _ = await asyncio.gather(
            self._fleet.start(self.url, lease=LEASE, shutdown=0.1, crash=f"{point}:{nth}"),
            self._fleet.start(self.url, lease=LEASE, go=self._go),
        )
        return victim

    async def die(self, victim: WorkerProcess) -> tuple[set[Status], Counter[str]]:
        """Wait for its death: the states it left behind, and how often each task has started."""
        assert await victim.end(20) == crash.EXIT_CODE, victim.log()
        self._died = asyncio.get_running_loop().time()
        states = await self.states()
        self._at_death = {state.id: state for state in states}
        return {state.status for state in states}, self.starts()

    async def recover(self, *, requeued: set[Status] | None = None) -> float:
        """Let the heir begin: each task ends, in time, once more only if it had not ended.

        `requeued` are the states from which a task goes back to its queue.
        """
        before = self.starts()
        self.ledger.client.rpush(self._go, 1)
        for handle in self.handles:
            assert (await handle.wait(20)).status is Status.COMPLETED
        took = asyncio.get_running_loop().time() - self._died
        assert took <= RECOVERY
        for state in await self.states():
            self._check(state, before[state.id], requeued or {Status.WORKING})
        await self.is_empty()
        return took

    def _check(self, state: TaskState[bytes], starts: int, requeued: set[Status]) -> None:
        was = self._at_death[state.id]
        now = self.starts()[state.id]
        if was.status.is_final:
            assert (now, state) == (starts, was), "it ran again, or its final state changed"
            return
        assert now == starts + 1 <= 2
        assert state.dequeue_count == was.dequeue_count + 1
        assert state.requeue_count == was.requeue_count + (was.status in requeued)
        assert (state.status, state.progress) == (Status.COMPLETED, None)

    def starts(self) -> Counter[str]:
        """How often each task of the case has started."""
        return self._told("start")

    def ends(self) -> Counter[str]:
        """How often each task's function got to its end."""
        return self._told("end")

    def _told(self, what: str) -> Counter[str]:
        own = {handle.id for handle in self.handles}
        return Counter(event.id for event in self.ledger.events(what) if event.id in own)

    async def all_started(self) -> None:
        """Wait until each has."""
        await eventually(lambda: len(self.starts()) == len(self.handles), 15)

    async def states(self) -> list[TaskState[bytes]]:
        """As they are now."""
        return [await self.broker.state(handle.queue, handle.id) for handle in self.handles]

    async def is_empty(self) -> None:
        """Nothing waits, nothing is leased: by the counts, and by the keys."""
        for stats in await self.broker.stats(await self.broker.queues()):
            assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 0, 0)
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            names = [key.partition("}:")[2] for key in client.scan_iter()]
        assert [name for name in names if name.startswith(PLACES)] == []


Play = Callable[[Scene], Awaitable[float | None]]
"""What happens in a scene; how long recovery took."""


class Stage:
    """Where the scenes of a test are played at once."""

    def __init__(self, server: RedisServer, fleet: Fleet, ledger: Ledger) -> None:
        self.server = server
        self.fleet = fleet
        self.ledger = ledger

    async def play(self, cases: list[Case], scene: Play) -> None:
        """All cases; failures name their case."""
        async with AsyncExitStack() as stack:
            scenes = [Scene(self, number, case) for number, case in enumerate(cases)]
            for one in scenes:
                await stack.enter_async_context(one.broker)
            played = [_named(one, scene(one)) for one in scenes]
            answers = await asyncio.gather(*played, return_exceptions=True)
        failures = [answer for answer in answers if answer is not None]
        if failures:
            raise BaseExceptionGroup("cases that failed", failures)


async def _named(scene: Scene, playing: Awaitable[float | None]) -> None:
    try:
        took = await playing
    except Exception as error:
        error.add_note(f"in {scene.case}")
        raise
    if took is not None:
        print(f"MEASURED {scene.case}: all ended {took:.2f} s after the death")  # noqa: T201


@pytest.fixture
def stage(calm_server: RedisServer, fleet: Fleet, ledger: Ledger) -> Stage:
    with redis.Redis.from_url(calm_server.url) as client:
        client.flushall()
    return Stage(calm_server, fleet, ledger)


class TestClaiming:
    @pytest.mark.parametrize(
        ("point", "left"),
        [
            ("before_claim", Status.PENDING),
            ("after_claim_sent", Status.WORKING),
            ("after_claim", Status.WORKING),
        ],
    )
    async def test_nothing_has_run(self, stage: Stage, point: str, left: Status) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(DOUBLES[scene.case.kind], 21)
            assert await scene.die(await scene.start(point)) == ({left}, Counter())
            return await scene.recover()

        await stage.play(NOTHING_RUNS, scene)


class TestRunning:
    async def test_before_the_function(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(DOUBLES[scene.case.kind], 21)
            statuses, starts = await scene.die(await scene.start("before_user"))
            assert (statuses, starts) == ({Status.WORKING}, Counter())
            return await scene.recover()

        await stage.play(NOTHING_RUNS, scene)

    async def test_after_the_function(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> float:
            case = scene.case
            await scene.send(DOUBLES[case.kind], 21)
            statuses, _ = await scene.die(await scene.start("after_user"))
            assert statuses == {Status.WORKING}
            ended = len(scene.ends())
            assert ended == case.nth if case.kind == "async" else ended >= 1
            return await scene.recover()

        await stage.play([*ALL, Case("async", 32, nth=32)], scene)

    async def test_while_it_tells_its_progress(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(jobs.report, 5)
            statuses, starts = await scene.die(await scene.start("in_progress"))
            assert statuses == {Status.WORKING}
            assert set(starts.values()) == {1}
            assert not scene.ends()
            return await scene.recover()

        await stage.play([Case("async", 1), Case("async", 32), Case("async", 32, nth=32)], scene)


class TestFinishing:
    async def test_before_the_outcomes_are_sent(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(DOUBLES[scene.case.kind], 21)
            statuses, _ = await scene.die(await scene.start("before_ack"))
            assert statuses == {Status.WORKING}
            assert scene.ends()
            return await scene.recover()

        await stage.play(ALL, scene)

    @pytest.mark.parametrize("point", ["after_ack_sent", "after_ack"])
    async def test_what_is_written_does_not_run_again(self, stage: Stage, point: str) -> None:
        async def scene(scene: Scene) -> float:
            case = scene.case
            await scene.send(DOUBLES[case.kind], 21)
            statuses, _ = await scene.die(await scene.start(point))
            assert Status.COMPLETED in statuses
            if case.kind == "async" or case.count == 1:  # they end, and are written, together
                assert statuses == {Status.COMPLETED}
            return await scene.recover()

        await stage.play(ALL, scene)


class TestHeartbeat:
    @pytest.mark.parametrize("point", ["before_heartbeat", "after_heartbeat"])
    async def test_running_tasks_run_again(self, stage: Stage, point: str) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(HOLDS[scene.case.kind], scene.gate)
            statuses, starts = await scene.die(await scene.start(point))
            assert statuses == {Status.WORKING}
            assert len(starts) == scene.case.count
            stage.ledger.open(scene.gate)
            return await scene.recover()

        await stage.play(NOTHING_RUNS, scene)


class TestSweeping:
    @pytest.mark.parametrize("point", ["before_sweep", "after_sweep_sent"])
    async def test_another_sweeps_on(self, stage: Stage, point: str) -> None:
        swept = point == "after_sweep_sent"

        async def scene(scene: Scene) -> float:
            left = await SWEPT[scene.case.kind](scene)
            statuses, starts = await scene.die(await scene.start(point))
            assert statuses == {Status.PENDING if swept else left}
            assert not starts
            return await scene.recover(requeued={left} - {Status.DELAYED})  # due is not put back

        cases = [Case(kind, count) for kind in SWEPT for count in (1, 32)]
        await stage.play(cases, scene)


async def _delay(scene: Scene) -> Status:
    await scene.send(jobs.double, 21, delay=0.05)
    return Status.DELAYED


async def _abandon(scene: Scene) -> Status:
    """Tasks of a worker that died before."""
    await scene.send(jobs.double, 21)
    async with scene.broker.consumer([jobs.double.queue], lease=0.05) as consumer:
        assert len((await consumer.claim(100)).deliveries) == scene.case.count
    return Status.WORKING


SWEPT = {"delayed": _delay, "abandoned": _abandon}


class TestShutdown:
    async def test_running_tasks_were_cancelled_but_not_put_back(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> float:
            await scene.send(HOLDS[scene.case.kind], scene.gate)
            victim = await scene.start("in_shutdown")
            await scene.all_started()
            victim.signal(signal.SIGTERM)
            statuses, starts = await scene.die(victim)
            assert statuses == {Status.WORKING}
            assert set(starts.values()) == {1}
            assert "requeueing" in victim.log()
            stage.ledger.open(scene.gate)
            return await scene.recover()

        await stage.play(ALL, scene)


class TestProducer:
    async def test_before_it_sends_there_is_nothing(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> None:
            producer = await produce(stage.fleet, scene.url, "one", crash="before_send")
            assert await producer.end(20) == crash.EXIT_CODE
            assert await scene.broker.states(jobs.double.queue, ["one"]) == [None]
            with redis.Redis.from_url(scene.url) as client:
                assert client.keys() in ([], [b"ltq:namespaces"])

        await stage.play([Case("async", 1)], scene)

    async def test_what_was_sent_is_there_once(self, stage: Stage) -> None:
        async def scene(scene: Scene) -> None:
            producer = await produce(stage.fleet, scene.url, "one", crash="after_send_sent")
            assert await producer.end(20) == crash.EXIT_CODE
            again = jobs.double.with_options(id="one")
            envelope = again._envelopes.of_message(again.message(21), again)
            assert await scene.broker.publish([envelope]) == [Published.EXISTS]
            assert await (await produce(stage.fleet, scene.url, "one")).end(20) == 0
            (stats,) = await scene.broker.stats([jobs.double.queue])
            assert (stats.pending, stats.delayed, stats.working) == (1, 0, 0)
            worker = await stage.fleet.start(scene.url, "--burst")
            assert await worker.end(20) == 0
            state = await scene.broker.state(jobs.double.queue, "one")
            assert (state.status, state.dequeue_count) == (Status.COMPLETED, 1)
            assert [event.id for event in scene.ledger.events("start")] == ["one"]
            await scene.is_empty()

        await stage.play([Case("async", 1)], scene)


def test_every_point_is_tried() -> None:
    text = Path(__file__).read_text("utf-8")
    assert [point for point in crash.POINTS if f'"{point}"' not in text] == []
