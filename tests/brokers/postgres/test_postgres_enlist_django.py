"""Enqueueing in a transaction of Django's, on PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.db import connections, transaction

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import TaskNotFoundError
from ltq.sync import SyncHandle

pytestmark = pytest.mark.slow

_ALIAS = "ltq_postgres"


@pytest.fixture
def pay(postgres_url: str) -> Iterator[tuple[Any, ltq.Task[[int], int]]]:
    """Django's connection, and a task in the same database."""
    if not settings.configured:
        given = {"ENGINE": "django.db.backends.sqlite3", "NAME": "set by each test"}
        settings.configure(DATABASES={"default": given}, LOGGING_CONFIG=None)
        django.setup()
    host, _, name = postgres_url.partition("?")[0].partition("@")[2].partition("/")
    own = {**connections.settings["default"], "ENGINE": "django.db.backends.postgresql"}
    own |= {"NAME": name, "USER": "ltq", "HOST": host.partition(":")[0]}
    connections.settings[_ALIAS] = {**own, "PORT": host.partition(":")[2], "PASSWORD": ""}
    worker = ltq.Worker("shop", broker=PostgresBroker(postgres_url))

    @worker.task(name="pay")
    def pay(order: int) -> int:
        return order

    connection = connections[_ALIAS]
    yield connection, pay
    connection.close()
    del connections[_ALIAS], connections.settings[_ALIAS]
    ltq.close_sync()


def is_there(handle: SyncHandle[int]) -> bool:
    try:
        handle.state()
    except TaskNotFoundError:
        return False
    return True


def test_it_is_there_after_the_commit(pay: tuple[Any, ltq.Task[[int], int]]) -> None:
    connection, task = pay
    with transaction.atomic(using=_ALIAS):
        handle = task.with_options(connection=connection).send_sync(1)
        assert not is_there(handle)
    assert is_there(handle)


def test_what_is_rolled_back_was_never_there(pay: tuple[Any, ltq.Task[[int], int]]) -> None:
    connection, task = pay
    with transaction.atomic(using=_ALIAS):
        handle = task.with_options(connection=connection).send_sync(1)
        transaction.set_rollback(True, using=_ALIAS)
    assert not is_there(handle)


def test_a_savepoint_takes_back_its_own(pay: tuple[Any, ltq.Task[[int], int]]) -> None:
    connection, task = pay
    mine = task.with_options(connection=connection)
    with transaction.atomic(using=_ALIAS):
        kept = mine.send_sync(1)
        with transaction.atomic(using=_ALIAS):
            undone = mine.send_sync(2)
            transaction.set_rollback(True, using=_ALIAS)
    assert (is_there(kept), is_there(undone)) == (True, False)
