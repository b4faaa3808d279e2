"""Fixtures of the dashboard's tests."""

import logging
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

import ltq
from ltq.brokers.memory import MemoryBroker
from tests.web.boards import Board, open_board
from tests.web.shop import make_shop

_numbers = count()


@pytest.fixture
def shop() -> Iterator[ltq.Worker[Any]]:
    """The worker, on an empty broker in memory."""
    worker = make_shop(f"memory://shop-{next(_numbers)}")
    yield worker
    assert isinstance(worker.broker, MemoryBroker)
    worker.broker.forget()


@pytest.fixture
async def board(shop: ltq.Worker[Any]) -> AsyncIterator[Board]:
    """Its dashboard, in which everybody may do everything."""
    async with open_board(shop) as board:
        yield board


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the dashboard logs."""
    caplog.set_level(logging.INFO, "ltq.web")
    return caplog
