"""What the fault tests of Sentinel and Cluster share: brokers, and workers of two namespaces."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from devtools.workers import Fleet
from ltq.brokers.redis import RedisBroker
from tests.faults import jobs

BOTH = "tests.faults.jobs:app"

Served = Callable[[str], AbstractAsyncContextManager[RedisBroker]]


@pytest.fixture
def served(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Sends the tasks of `jobs` through a URL, and runs those of both its workers."""

    @asynccontextmanager
    async def open_broker(url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(url) as broker:
            for worker in (jobs.worker, jobs.others):
                monkeypatch.setattr(worker, "broker", broker)
            await fleet.start(url, target=[BOTH])
            for task in (jobs.double, jobs.double_elsewhere):  # it runs, and has nothing left to do
                assert await (await task.send(1)).result(20) == 2
            yield broker

    return open_broker
