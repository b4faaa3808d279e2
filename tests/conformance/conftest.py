"""The brokers of LTQ. Another one runs the whole suite once it has a line in `STORES`."""

from collections.abc import Callable

import fakeredis
import pytest

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.message import new_id


def _memory(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    url = f"memory://{new_id()}"
    return lambda: MemoryBroker(url)


def _fakeredis(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    server = fakeredis.FakeServer()

    def connect() -> fakeredis.FakeAsyncRedis:
        # As `RedisBroker` sets it. With a timeout, redis-py sends by `asyncio.wait_for`, which
        # loses a cancellation on Python 3.11: closing a consumer would last a whole blocking call.
        return fakeredis.FakeAsyncRedis(server=server, protocol=2, socket_timeout=None)

    return lambda: RedisBroker("redis://fakeredis", connect=connect)


def _redis(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    url: str = request.getfixturevalue("redis_url")
    return lambda: RedisBroker(url)


STORES = {"memory": _memory, "fakeredis": _fakeredis, "redis": _redis}
"""How each broker is made, on an empty store of its own for each test."""


@pytest.fixture(params=STORES)
def make_broker(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    """The one fixture that the conformance suite asks for."""
    return STORES[request.param](request)
