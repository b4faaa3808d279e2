"""The rules are tried on the places of two stores: dicts in memory, and tables of SQLite."""

from collections.abc import Callable, Iterator

import pytest

from ltq._aio.clock import system_clock
from ltq.brokers.memory._store import MemoryStore
from tests.brokers.rules.stand import Stand
from tests.brokers.sqlite_places import SqliteStore


@pytest.fixture(params=[lambda: MemoryStore(system_clock), SqliteStore], ids=["memory", "sqlite"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """An empty namespace, at second 1000."""
    make: Callable[[], MemoryStore] = request.param
    store = make()
    yield Stand(store._places("mail"))
    if isinstance(store, SqliteStore):
        store.close()
