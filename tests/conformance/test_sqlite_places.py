"""A store that replaces the places alone keeps what the seam promises."""

from collections.abc import Callable, Iterator

import pytest

from ltq.broker import Broker
from ltq.testing.conformance.seam import *
from tests.brokers.sqlite_places import SqliteBroker, SqliteStore

pytestmark = pytest.mark.slow


@pytest.fixture
def make_broker() -> Iterator[Callable[[], Broker]]:
    """Brokers on one database in memory."""
    store = SqliteStore()
    yield lambda: SqliteBroker(store)
    store.close()
