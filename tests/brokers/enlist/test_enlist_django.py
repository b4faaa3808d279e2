"""Enqueueing in a transaction of Django's."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.db import connection, connections, transaction

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.sync import SyncHandle
from tests.brokers.enlist.desks import ORDER, orders_in

DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "set by each test"}


@pytest.fixture
def pay(path: Path) -> Iterator[ltq.Task[[int], int]]:
    """A task in the database of a Django project."""
    if not settings.configured:
        settings.configure(DATABASES={"default": DATABASE}, LOGGING_CONFIG=None)
        django.setup()
    connection.settings_dict["NAME"] = str(path)
    worker = ltq.Worker("shop", broker=SqliteBroker(f"sqlite:///{path}?shared=1&sync=normal"))

    @worker.task(name="pay")
    def pay(order: int) -> int:
        return order

    assert not is_there(pay.handle_sync("none"))  # who opens the file first makes LTQ's tables
    yield pay
    connection.close()
    ltq.close_sync()


def order() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ORDER)


def is_there(handle: SyncHandle[int]) -> bool:
    try:
        handle.state()
    except TaskNotFoundError:
        return False
    return True


def test_it_is_there_after_the_commit(path: Path, pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        order()
        handle = pay.with_options(connection=connection).send_sync(1)
        assert not is_there(handle)
    assert (is_there(handle), orders_in(path)) == (True, 1)


def test_what_is_rolled_back_was_never_there(path: Path, pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        order()
        handle = pay.with_options(connection=connection).send_sync(1)
        transaction.set_rollback(True)
    assert (is_there(handle), orders_in(path)) == (False, 0)


def test_a_savepoint_takes_back_its_own(path: Path, pay: ltq.Task[[int], int]) -> None:
    mine = pay.with_options(connection=connection)
    with transaction.atomic():
        kept = mine.send_sync(1)
        with transaction.atomic():
            order()
            undone = mine.send_sync(2)
            transaction.set_rollback(True)
    assert (is_there(kept), is_there(undone), orders_in(path)) == (True, False, 0)


def test_outside_of_a_transaction_it_is_there_at_once(pay: ltq.Task[[int], int]) -> None:
    assert is_there(pay.with_options(connection=connection).send_sync(1))
    assert connection.get_autocommit()


def test_without_autocommit_it_waits_for_the_commit(pay: ltq.Task[[int], int]) -> None:
    transaction.set_autocommit(False)
    handle = pay.with_options(connection=connection).send_sync(1)
    assert not is_there(handle)
    transaction.commit()
    assert is_there(handle)
    transaction.set_autocommit(True)


def test_who_waits_is_told_after_the_commit(
    pay: ltq.Task[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    broker = pay._source.broker
    assert isinstance(broker, SqliteBroker)
    broker.enlist(connection)
    monkeypatch.setattr(broker._sender, "tell", told.append)
    with transaction.atomic():
        handle = pay.with_options(connection=connection).send_sync(1)
        assert told == []
    assert told == [{"lane shop:pay", f"task shop {handle.id}"}]


def test_a_broken_transaction_is_refused(pay: ltq.Task[[int], int]) -> None:
    said = "cannot be used here: An error occurred in the"
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(ConfigurationError, match=said):
            pay.with_options(connection=connection).send_sync(1)


def test_a_connection_of_another_thread_is_refused(pay: ltq.Task[[int], int]) -> None:
    connection.ensure_connection()
    mine = transaction.get_connection()
    errors: list[Exception] = []

    def send() -> None:
        try:
            pay.with_options(connection=mine).send_sync(1)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    (error,) = errors
    assert isinstance(error, ConfigurationError)
    assert "cannot be used here: DatabaseWrapper objects created in a thread" in str(error)


async def test_an_event_loop_is_refused(pay: ltq.Task[[int], int]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used here: You cannot call this from"):
        await pay.with_options(connection=connection).send(1)


def test_a_database_of_another_kind_is_refused(pay: ltq.Task[[int], int]) -> None:
    class Postgres(type(transaction.get_connection())):  # type: ignore[misc]
        vendor = "postgresql"

    wrapper = Postgres({**connection.settings_dict}, "other")
    with pytest.raises(ConfigurationError, match="is to postgresql, but the broker is a file"):
        pay.with_options(connection=wrapper).send_sync(1)


def test_what_is_no_connection_of_django_is_refused(pay: ltq.Task[[int], int]) -> None:
    for wrong in (connections, connection.cursor()):
        with pytest.raises(ConfigurationError, match=r"^connection=.* is not allowed: a sqlite3"):
            pay.with_options(connection=wrong).send_sync(1)
