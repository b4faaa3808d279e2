"""Workflows on random walks: nothing waits for ever, nothing completes twice.

With `LTQ_MODEL_POSTGRES=1` PostgreSQL takes some as well.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from devtools.servers import RedisServer
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.redis import RedisBroker
from tests.model.flow_ground import Ground, in_file, in_memory
from tests.model.flowing import Flowing
from tests.model.test_model import EXAMPLES, walk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_memory_broker_brings_workflows_to_their_end() -> None:
    walk(partial(Flowing, in_memory), 4 * EXAMPLES)


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_sqlite_broker_brings_workflows_to_their_end(tmp_path: Path) -> None:
    walk(partial(Flowing, partial(in_file, tmp_path)), EXAMPLES // 3)


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_redis_broker_brings_workflows_to_their_end(server: RedisServer) -> None:
    walk(partial(Flowing, lambda: Ground(RedisBroker(f"{server.url}?history=0"))), EXAMPLES // 2)


if "LTQ_MODEL_POSTGRES" in os.environ:

    @pytest.mark.timeout(60 + 2 * EXAMPLES)
    def test_the_postgres_broker_brings_workflows_to_their_end(postgres_url: str) -> None:
        walk(
            partial(Flowing, lambda: Ground(PostgresBroker(f"{postgres_url}&history=0"))),
            EXAMPLES // 3,
        )
