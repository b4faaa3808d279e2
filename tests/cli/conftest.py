"""Fixtures of the command line's tests."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from tests.cli import jobs
from tests.logs import logging_restored


@pytest.fixture(autouse=True)
def ltq_logger() -> Iterator[logging.Logger]:
    """The logger `ltq`. What a test sets up, there or at the root logger, is undone."""
    with logging_restored() as logger:
        yield logger


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """A broker on the real server that the commands are told to use."""
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def tasks(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tasks of `tests.cli.jobs` be sent to that server."""
    for worker in (jobs.worker, jobs.hasty):
        monkeypatch.setattr(worker, "broker", broker)
