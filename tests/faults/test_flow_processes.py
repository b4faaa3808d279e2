"""Workflows and streams of several processes that share a store, some of which are killed."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from devtools.servers import RedisServer
from devtools.workers import Fleet
from ltq import Status, Worker
from ltq.broker import Broker
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs, makers

pytestmark = pytest.mark.slow

_COUNTS = {"sqlite": 150, "redis": 150, "postgres": 30}
"""How many workflows there are. A step of one takes several round trips to PostgreSQL."""

_PATIENCE = 60.0


@pytest.fixture
def count(url: str) -> int:
    """How many workflows there are."""
    return next(many for name, many in _COUNTS.items() if url.startswith(name))


@pytest.fixture(params=[*_COUNTS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that several processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres_url")
        return address
    server: RedisServer = request.getfixturevalue("server")
    return server.url


@pytest.fixture
async def store(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """What this process sees the workflows through."""
    async with Worker("faults", broker_url=url).broker as broker:
        for worker in (jobs.worker, jobs.others):
            monkeypatch.setattr(worker, "broker", broker)
        yield broker


@pytest.mark.timeout(150)
async def test_all_come_to_their_ends(store: Broker, url: str, count: int, fleet: Fleet) -> None:
    """A maker that was killed is followed by one that begins at the beginning."""
    chance = random.Random(7)

    async def kill_workers() -> None:
        while True:
            worker = await fleet.start(url, target=["tests.faults.jobs:app"], lease=1.0)
            await elapse(chance.uniform(1.5, 4.0), "it has done something")
            await worker.kill()

    await fleet.start(url, target=["tests.faults.jobs:app"], lease=1.0)
    killing = asyncio.create_task(kill_workers())
    for number in (count * part // 15 for part in (2, 6, 10, 14)):
        maker = await fleet.run(url, ["-m", "tests.faults.makers", str(count)])
        await eventually(partial(_is_sent, store, number), _PATIENCE, "it has sent some")
        await maker.kill()
    maker = await fleet.run(url, ["-m", "tests.faults.makers", str(count)])
    assert await maker.end(_PATIENCE) == 0
    handles = [makers.workflow(number).handle(f"w{number}") for number in range(count)]
    results = await asyncio.gather(*(handle.result(_PATIENCE) for handle in handles))
    killing.cancel()
    assert results == [makers.result(number) for number in range(count)]
    await eventually(lambda: _is_quiet(store), _PATIENCE, "nothing is left to do")


async def test_a_stream_begins_anew_in_another_process(
    store: Broker, url: str, fleet: Fleet
) -> None:
    """As a node of a workflow, whose next node gets how many items there were."""
    victim = await fleet.start(url, target=["tests.faults.jobs:app"], lease=1.0)
    handle = await jobs.count.step(30, 0.05).then(jobs.double_elsewhere).send()
    stream, seen = jobs.count.handle(f"{handle.id}.n0").stream(timeout=_PATIENCE), set[int]()
    numbers: list[int] = []
    async for number in stream:
        if stream.attempt not in seen:
            seen.add(stream.attempt)
            numbers.clear()
        numbers.append(number)
        if stream.attempt == 1 and number == 5:
            await victim.kill()
            await fleet.start(url, target=["tests.faults.jobs:app"], lease=1.0)
    assert (seen, numbers) == ({1, 2}, [*range(30)])
    assert await handle.result(_PATIENCE) == 60
    assert await store.endings(jobs.count.queue) == []


async def _is_quiet(store: Broker) -> bool:
    for queue in (jobs.double.queue, jobs.double_elsewhere.queue):
        left = await store.tasks(queue, status=[Status.DELAYED, Status.PENDING, Status.WORKING])
        if left.items or await store.endings(queue):
            return False
    return True


async def _is_sent(store: Broker, number: int) -> bool:
    (state,) = await store.states(jobs.double.queue, [f"w{number}"])
    return state is not None
