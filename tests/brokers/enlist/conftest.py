"""A worker whose tasks are in the file of an application."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import ltq
from ltq.brokers.sqlite import SqliteBroker
from tests.brokers.enlist.desks import make_application


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database of an application, which knows nothing of LTQ yet."""
    path = tmp_path / "app.db"
    make_application(path)
    return path


@pytest.fixture
async def worker(path: Path) -> AsyncIterator[ltq.Worker]:
    """A worker on that file. It does not run yet."""
    broker = SqliteBroker(f"sqlite:///{path}?shared=1&sync=normal")
    yield ltq.Worker("shop", broker=broker)
    await broker.aclose()
