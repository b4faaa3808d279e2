"""Fixtures for the examples: real processes on a real server."""

from collections.abc import AsyncIterator

import pytest

from ltq.broker import Broker
from tests.examples.programs import StartProgram, open_programs


@pytest.fixture
async def start(redis_url: str) -> AsyncIterator[StartProgram]:
    """Starts programs that find the server by LTQ_BROKER_URL."""
    async with open_programs(LTQ_BROKER_URL=redis_url) as start:
        yield start


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """The server, for a look at it from the test."""
    async with Broker.from_url(redis_url) as broker:
        yield broker
