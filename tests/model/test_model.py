"""Both brokers do what the model says, on random walks.

`LTQ_MODEL_EXAMPLES` is how many walks each broker takes (default 60, nightly thousands).
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from devtools.servers import RedisServer
from tests.model.punctual import Punctual
from tests.model.redis_machine import RedisMachine
from tests.model.redis_store import RedisStore
from tests.model.stores import MemoryStore

EXAMPLES = int(os.environ.get("LTQ_MODEL_EXAMPLES", "60"))
STEPS = 40

SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def walk(machine: Callable[[], Any]) -> None:
    factory: Any = machine
    run_state_machine_as_test(factory, settings=SETTINGS)


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_memory_broker_does_what_the_model_says() -> None:
    walk(partial(Punctual, MemoryStore))


@pytest.mark.timeout(60 + 2 * EXAMPLES)
def test_the_redis_broker_does_what_the_model_says(server: RedisServer) -> None:
    walk(partial(RedisMachine, partial(RedisStore, server.url)))
