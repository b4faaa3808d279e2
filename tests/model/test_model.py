"""All brokers do what the model says, on random walks.

`LTQ_MODEL_EXAMPLES` is how many walks each broker takes (default 60, nightly thousands). With
`LTQ_MODEL_POSTGRES=1` PostgreSQL takes some as well: its clock goes on by itself, so a walk only
comes out the same again on a machine that does nothing else.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from devtools.servers import RedisServer
from ltq.brokers.rabbitmq._intake import pump
from ltq.brokers.redis._scripts import texts
from tests.model.moving import Moving
from tests.model.postgres_store import PostgresStore
from tests.model.rabbit_machine import RabbitMachine
from tests.model.rabbit_store import RabbitStore
from tests.model.redis_machine import RedisMachine
from tests.model.redis_store import RedisStore
from tests.model.sqlite_store import SqliteStore
from tests.model.stores import MemoryStore, Store

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("LTQ_MODEL_EXAMPLES", "60"))
STEPS = 40

SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def no_list_is_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Entries of cancelled tasks stay in ready lists of any length."""
    monkeypatch.setitem(texts.CONSTANTS, "SHORT_LIST", 0)
    monkeypatch.setitem(texts.CONSTANTS, "REWRITTEN_LIST", 0)
    monkeypatch.setitem(texts.CONSTANTS, "MOST_SKIPPED", 0)
    _forget_texts()
    yield
    _forget_texts()


def _forget_texts() -> None:
    texts.source.cache_clear()
    texts.sha.cache_clear()


def walk(machine: Callable[[], Any], examples: int = EXAMPLES) -> None:
    factory: Any = machine
    run_state_machine_as_test(factory, settings=settings(SETTINGS, max_examples=examples))


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_memory_broker_does_what_the_model_says() -> None:
    walk(partial(Moving, MemoryStore))


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_sqlite_broker_does_what_the_model_says(tmp_path: Path) -> None:
    walk(partial(Moving, partial(SqliteStore, tmp_path)))


if "LTQ_MODEL_POSTGRES" in os.environ:

    @pytest.mark.slow
    @pytest.mark.timeout(120 + 4 * EXAMPLES)
    def test_the_postgres_broker_does_what_the_model_says(
        postgres_url: str, postgres_admin: psycopg.Connection[Any]
    ) -> None:
        walk(partial(Moving, partial(PostgresStore, postgres_url, postgres_admin)), EXAMPLES // 6)


@pytest.mark.slow
@pytest.mark.timeout(60 + 2 * EXAMPLES)
@pytest.mark.usefixtures("no_list_is_short")
def test_the_redis_broker_does_what_the_model_says(server: RedisServer) -> None:
    walk(partial(RedisMachine, partial(RedisStore, server.url)))


@pytest.mark.slow
@pytest.mark.timeout(120 + 4 * EXAMPLES)
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_store_behind_rabbitmq_does_what_the_model_says(
    rabbitmq_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    monkeypatch.setattr(pump, "_LOOK_AGAIN", 0.002)
    behind: Callable[[], Store] = (
        MemoryStore if store == "memory" else partial(SqliteStore, tmp_path)
    )
    walk(partial(RabbitMachine, lambda: RabbitStore(rabbitmq_url, behind())), EXAMPLES // 10)
