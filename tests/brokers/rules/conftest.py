"""The rules are tried on the places of two stores: dicts in memory, and tables of SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltq._aio.clock import system_clock
from ltq.brokers._rules.places import Places
from ltq.brokers.memory._store import MemoryStore
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._places.store import SqliteStore
from tests.brokers.rules.stand import Stand


def _memory(folder: Path) -> Iterator[Places]:
    yield MemoryStore(system_clock)._places("mail")


def _sqlite(folder: Path) -> Iterator[Places]:
    path = folder / "jobs.db"
    database = Database(open_file(path), path, system_clock)
    database.begin(writes=True)
    yield SqliteStore(database)._places("mail")
    database.commit()
    database.close()


@pytest.fixture(params=[_memory, _sqlite], ids=["memory", "sqlite"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """An empty namespace, at second 1000."""
    make: Callable[[Path], Iterator[Places]] = request.param
    for places in make(tmp_path):
        yield Stand(places)
