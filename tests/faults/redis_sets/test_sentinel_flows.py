"""Workflows and streams behind Sentinel, whose master goes meanwhile: nothing stands still."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

import ltq
from devtools.redis_sets.sentinel import SentinelSet
from ltq import Node
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.redis_sets.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # a new master takes its time

_COUNT = 60

Way = Literal["killed", "planned"]


@pytest.fixture
def sentinels(redis_executable: str) -> Iterator[SentinelSet]:
    with SentinelSet(redis_executable) as servers:
        yield servers


def _node() -> Node[tuple[list[int], int]]:
    """A map over a stream's length, a chain over two workers, and their join."""
    chain = jobs.double.step(1).then(jobs.double_elsewhere).then(jobs.double)
    return ltq.join(jobs.numbers.step(5).map(jobs.double), chain)


async def _send(workflow_id: str) -> Any:
    """Send it, again and again until that is acknowledged."""
    while True:
        try:
            return await _node().with_options(id=workflow_id).send()
        except BrokerError:
            await elapse(0.1, "a replica may be the master by then")


async def _replace_master(sentinels: SentinelSet, way: Way) -> None:
    if way == "planned":
        await asyncio.to_thread(sentinels.fail_over)
        return
    master = sentinels.master
    master.kill()
    await asyncio.to_thread(sentinels.wait_for_another, master)
    master.start()


@pytest.mark.parametrize("way", ["killed", "planned"])
async def test_workflows_go_on_with_another_master(
    sentinels: SentinelSet, served: Served, way: Way
) -> None:
    """What a send has acknowledged is on each replica, whichever is the next master."""
    async with served(f"{sentinels.url}?replicas=2"):
        sends: list[asyncio.Task[Any]] = []

        async def start(count: int) -> None:
            for _ in range(count):
                sends.append(asyncio.create_task(_send(f"w{len(sends)}")))
                await elapse(0.01, "they are in different places")

        await start(_COUNT // 2)
        replacing = asyncio.create_task(_replace_master(sentinels, way))
        await start(_COUNT // 2)
        await replacing
        handles = await asyncio.gather(*sends)
        results = await asyncio.gather(*(handle.result(60) for handle in handles))
    assert results == [([0, 2, 4, 6, 8], 8)] * _COUNT


async def _read(handle: ltq.StreamHandle[int]) -> list[int]:
    """The items of the last attempt, as a reader has them who goes on when it is cut."""
    cursor, attempt, numbers = None, 0, list[int]()
    while True:
        stream = handle.stream(after=cursor, timeout=60)
        try:
            async for number in stream:
                if stream.attempt != attempt:
                    attempt, numbers = stream.attempt, []
                numbers.append(number)
                cursor = stream.cursor
        except BrokerError:
            await elapse(0.1, "a replica may be the master by then")
        else:
            return numbers


@pytest.mark.parametrize("way", ["killed", "planned"])
async def test_streams_go_on_with_another_master(
    sentinels: SentinelSet, served: Served, way: Way
) -> None:
    """It may lack the last items: then it drops those before them, too."""
    async with served(f"{sentinels.url}?replicas=2"):
        handles = [await jobs.count.send(100, 0.05) for _ in range(10)]
        readers = [asyncio.create_task(_read(handle)) for handle in handles]
        await eventually(lambda: _is_at(handles, 20), 20, "items flow")
        await _replace_master(sentinels, way)
        for handle, reader in zip(handles, readers, strict=True):
            assert await handle.result(60) == 100
            assert await reader == [*range(100)]
            late = handle.stream()
            assert [number async for number in late] == [*range(late.missed, 100)]


async def _is_at(handles: Sequence[ltq.StreamHandle[int]], count: int) -> bool:
    return all([(await handle.state()).items >= count for handle in handles])
