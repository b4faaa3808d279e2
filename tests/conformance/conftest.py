"""The brokers of LTQ. Another one runs the whole suite once it has a line in `STORES`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fakeredis
import pytest

from devtools.each_redis import MODE
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.sentinel import SentinelSet
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._operations import examine
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import new_id

REDIS_AS = os.environ.get(MODE, "server")
"""What the tests of `redis` run on: a `server`, `sentinel`, or a `cluster` with a prefix."""


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
    url: str = request.getfixturevalue("redis_url" if REDIS_AS == "server" else "redis_set_url")
    url += "?prefix=shop" if REDIS_AS == "cluster" else ""
    return lambda: RedisBroker(url)


def _sqlite(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    folder: Path = request.getfixturevalue("tmp_path")
    url = f"sqlite:///{folder}/jobs.db?sync=normal"
    return lambda: SqliteBroker(url)


def _postgres(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    url: str = request.getfixturevalue("emptied_postgres_url")
    # The server of the tests waits for no disk, of which each worker would warn.
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    patch.setattr(examine, "hazards", lambda values: [])
    return lambda: PostgresBroker(url)


def _postgres_role(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    """As a user with no more rights than the docs say."""
    _postgres(request)
    url: str = request.getfixturevalue("postgres_role_url")
    return lambda: PostgresBroker(url)


def _rabbitmq(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    folder: Path = request.getfixturevalue("tmp_path")
    url: str = request.getfixturevalue("rabbitmq_url")
    url += f"&state=sqlite:///{folder}/jobs.db?sync=normal"
    return lambda: RabbitBroker(url)


def _rabbitmq_redis(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    store: str = request.getfixturevalue("redis_url")
    url: str = request.getfixturevalue("rabbitmq_url")
    return lambda: RabbitBroker(f"{url}&state={store}")


STORES = {
    "memory": _memory,
    "fakeredis": _fakeredis,
    "redis": _redis,
    "sqlite": _sqlite,
    "postgres": _postgres,
    "postgres-role": _postgres_role,
    "rabbitmq": _rabbitmq,
    "rabbitmq-redis": _rabbitmq_redis,
}
"""How each broker is made, on an empty store of its own for each test."""


FEW = {
    "test_eager.py": {"memory", "redis"},
    "test_workers.py": {*STORES} - {"rabbitmq-redis"},
}
"""By file, the brokers that it is for, if it is not for all of them.

Workers do the same on all that hold the seam. Their half passed over RabbitMQ and Redis as well,
which have nothing for it that RabbitMQ over SQLite has not: each time would take minutes.
"""

QUICK = {"test_seam.py": {"memory", "redis"}, "test_workers.py": {"memory"}}
"""By file, the brokers whose conformance is in the quick part. Workers do the same on all that hold
the seam, and the fake of a server says little more."""

SLOW = {
    "TestBlockedLoop",
    "TestBrokenLoop",
    "TestKeeperAway",
    "TestPauseAtRunTime",
    "TestPutAtRunTime",
    "TestThreadTimeout",
    "test_a_blocked_event_loop_is_alive",
    "test_of_a_function_that_is_an_option",
}
"""Those that wait for real time to pass: event loops that break or stand still, whole seconds."""


ON_FAKE = {
    *("TestAsCompleted", "TestBurst", "TestFailure", "TestFullQueue", "TestGather", "TestHandle"),
    *("TestOptionsOfManyMessages", "TestReplayedHandle", "TestRun", "TestSend", "TestSyncHandle"),
    *("TestTagsOfTasks", "TestUniqueSend", "TestWhatWasEnqueued"),
}
"""What workers do on the fake of a server: nothing in which they wait, which it is slow at."""


AS_ROLE = {
    *("TestChangedSchedules", "TestHistory", "TestIsolation", "TestLeave", "TestMaxPending"),
    *("TestPutSchedule", "TestReplay", "TestThroughput", "TestUniqueMoves", "TestWorkers"),
}
"""What a user without other rights does: between them, these use all that there is in a schema. All
of the conformance passed so once; each time would take minutes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test for each broker; the quick part does without those that it would only leave out."""
    if "make_broker" in metafunc.fixturenames:
        file = metafunc.definition.path.name
        meant = FEW.get(file, {*STORES})
        tests = getattr(metafunc.cls, "__name__", "")
        if tests not in AS_ROLE:
            meant = meant - {"postgres-role"}
        if file == "test_workers.py" and tests not in ON_FAKE:
            meant = meant - {"fakeredis"}
        slow = meant - QUICK.get(file, meant)
        if metafunc.config.getoption("markexpr") == "not slow":
            meant, slow = meant - slow, set()
        brokers = [
            pytest.param(name, marks=pytest.mark.slow if name in slow else ())
            for name in STORES
            if name in meant
        ]
        metafunc.parametrize("make_broker", brokers, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/conformance/"):
            names = item.nodeid.partition("[")[0].split("::")
            if SLOW.intersection(names):
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def redis_set(redis_executable: str) -> Iterator[SentinelSet | ClusterSet]:
    """Several servers for the whole run, as `REDIS_AS` says."""
    with (
        ClusterSet(redis_executable, replicas=0)
        if REDIS_AS == "cluster"
        else SentinelSet(redis_executable, replicas=1)
    ) as servers:
        yield servers


@pytest.fixture
def redis_set_url(redis_set: SentinelSet | ClusterSet) -> str:
    """Where they are, emptied for this test."""
    redis_set.empty()
    return redis_set.url


@pytest.fixture
def make_broker(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    """The one fixture that the conformance suite asks for."""
    return STORES[request.param](request)
