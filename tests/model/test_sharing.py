"""Both brokers keep apart what consumers of a shared queue do not know, on random walks."""

from collections.abc import Iterator
from functools import partial

import pytest

from devtools.servers import RedisServer
from tests.model.sharing import SharedMemory, SharedRedis, Sharing
from tests.model.test_model import EXAMPLES, walk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_memory_broker_keeps_strangers_apart() -> None:
    walk(partial(Sharing, SharedMemory))


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_redis_broker_keeps_strangers_apart(server: RedisServer) -> None:
    walk(partial(Sharing, partial(SharedRedis, server.url)))
