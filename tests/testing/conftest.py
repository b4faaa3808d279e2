"""A worker under test: in a box, by a clock that the test moves."""

from collections.abc import AsyncIterator, Callable

import pytest

import ltq
import ltq.testing
from ltq.testing import Box

START = "2030-01-01T12:00:00Z"
NOON = 1893499200.0
"""The same in Unix seconds."""


@pytest.fixture
def worker() -> ltq.Worker:
    """One whose own broker is nobody's: nothing listens there."""
    return ltq.Worker("shop", broker_url="redis://localhost:1")


@pytest.fixture
async def box(worker: ltq.Worker) -> AsyncIterator[Box]:
    """The worker's box, from noon on."""
    async with ltq.testing.use(worker, start=START) as box:
        yield box


@pytest.fixture
def seconds(box: Box) -> Callable[[], float]:
    """The seconds since noon."""
    return lambda: box.clock() - NOON
