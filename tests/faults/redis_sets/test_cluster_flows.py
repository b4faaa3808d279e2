"""Workflows over two masters, of which one is killed: none of them stands still."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from devtools.redis_sets.cluster import ClusterSet
from ltq import Node
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.faults import jobs
from tests.faults.redis_sets.conftest import Served
from tests.faults.redis_sets.test_cluster_faults import FAULTS, OTHERS

pytestmark = pytest.mark.slow

_COUNT = 60


@pytest.fixture
def cluster(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable) as cluster:
        assert cluster.owner(FAULTS) is not cluster.owner(OTHERS)
        yield cluster


def _chain() -> Node[int]:
    there, back = jobs.double_elsewhere, jobs.double
    return jobs.double.step(1).then(there).then(back).then(there).then(back)


async def _send(node: Node[int], workflow_id: str) -> Any:
    """Send it, again and again until that is acknowledged."""
    while True:
        try:
            return await node.with_options(id=workflow_id).send()
        except BrokerError:
            await elapse(0.1, "a replica may have taken over by then")


async def test_a_master_is_killed_while_they_run(cluster: ClusterSet, served: Served) -> None:
    """Each step of one waits for a replica, which takes over."""
    async with served(f"{cluster.url}?replicas=1"):
        node = _chain()
        master = cluster.owner(OTHERS)
        sends = []
        for number in range(_COUNT):
            sends.append(asyncio.create_task(_send(node, f"w{number}")))
            await elapse(0.01, "they are in different places")
            if number == _COUNT // 2:
                master.kill()
        await asyncio.to_thread(cluster.wait_for_another, OTHERS, master)
        master.start()  # as a replica: without one no send is acknowledged
        handles = await asyncio.gather(*sends)
        results = await asyncio.gather(*(handle.result(60) for handle in handles))
    assert results == [32] * _COUNT
