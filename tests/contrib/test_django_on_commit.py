"""`send_on_commit` in Django: tasks that are sent once a transaction has committed."""

import logging
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.test import TestCase

import ltq
from ltq.brokers.memory import MemoryBroker
from ltq.contrib.django import send_on_commit
from ltq.sync import SyncHandle
from ltq.testing import FlakyBroker
from tests.contrib import sites

OTHER = "ltq_other"


@pytest.fixture
def broker() -> FlakyBroker:
    return FlakyBroker(MemoryBroker("memory://"))


@pytest.fixture
def pay(tmp_path: Path, broker: FlakyBroker) -> Iterator[ltq.Task[[int], int]]:
    """A task, in a project with two databases."""
    sites.configure()
    connection.settings_dict["NAME"] = str(tmp_path / "one.db")
    own = {**connections.settings["default"], "NAME": str(tmp_path / "other.db")}
    connections.settings[OTHER] = own
    worker = ltq.Worker("shop", broker=broker)

    @worker.task(name="pay")
    def pay(order: int) -> int:
        return order

    yield pay
    for alias in ("default", OTHER):
        connections[alias].close()
    del connections[OTHER], connections.settings[OTHER]
    ltq.close_sync()


def is_there(handle: SyncHandle[int]) -> bool:
    try:
        handle.state()
    except ltq.TaskNotFoundError:
        return False
    return True


def test_it_is_sent_after_the_commit(pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        handle = send_on_commit(pay.message(1))
        assert not is_there(handle)
    assert is_there(handle)


def test_with_the_options_of_its_message(pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        handle = send_on_commit(pay.with_options(delay=60, id="order-1").message(1))
    assert (handle.id, handle.state().status) == ("order-1", "delayed")


def test_what_is_rolled_back_is_never_sent(pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        handle = send_on_commit(pay.message(1))
        transaction.set_rollback(True)
    assert not is_there(handle)


def test_a_savepoint_takes_back_its_own(pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic():
        kept = send_on_commit(pay.message(1))
        with transaction.atomic():
            undone = send_on_commit(pay.message(2))
            transaction.set_rollback(True)
    assert (is_there(kept), is_there(undone)) == (True, False)


def test_without_a_transaction_it_is_sent_at_once(pay: ltq.Task[[int], int]) -> None:
    assert is_there(send_on_commit(pay.message(1)))


def test_it_waits_for_the_database_that_it_is_told(pay: ltq.Task[[int], int]) -> None:
    with transaction.atomic(using=OTHER):
        with transaction.atomic():
            handle = send_on_commit(pay.message(1), using=OTHER)
        assert not is_there(handle)
    assert is_there(handle)


def test_an_error_of_the_send_is_raised_after_the_commit(
    pay: ltq.Task[[int], int], broker: FlakyBroker
) -> None:
    broker.fail()
    with pytest.raises(ltq.BrokerError), transaction.atomic():
        send_on_commit(pay.with_options(id="one").message(1))
    broker.heal()
    assert not is_there(pay.handle_sync("one"))


def test_a_robust_one_is_logged_and_what_comes_after_it_is_called(
    pay: ltq.Task[[int], int], broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[bool] = []
    broker.fail()
    with caplog.at_level(logging.ERROR, "django.db.backends.base"), transaction.atomic():
        send_on_commit(pay.message(1), robust=True)
        transaction.on_commit(lambda: called.append(True))
    assert called == [True]
    assert "Error calling send of shop:pay in on_commit()" in caplog.text


def test_wrong_arguments_are_refused_before_the_commit(pay: ltq.Task[[int], int]) -> None:
    with pytest.raises(ltq.InvalidArgumentsError):
        send_on_commit(pay.message("one"))  # type: ignore[arg-type]


def test_a_message_of_no_task_is_refused() -> None:
    with pytest.raises(ltq.ConfigurationError, match="cannot be sent on commit"):
        send_on_commit(ltq.Message((), {}, "shop:pay"))


async def test_in_an_event_loop_it_is_refused(pay: ltq.Task[[int], int]) -> None:
    with pytest.raises(ltq.ConfigurationError, match="sync_to_async"):
        send_on_commit(pay.message(1))


async def test_a_transaction_beside_an_event_loop_sends(pay: ltq.Task[[int], int]) -> None:
    def order() -> SyncHandle[int]:
        with transaction.atomic():
            handle = send_on_commit(pay.message(1))
            assert not is_there(handle)
        connection.close()
        return handle

    handle = await sync_to_async(order)()
    assert (await pay.handle(handle.id).state()).status == "pending"


def test_a_test_case_of_django_runs_what_waits(pay: ltq.Task[[int], int]) -> None:
    seen: list[Any] = []

    class Case(TestCase):
        databases = frozenset({"default"})

        def runTest(self) -> None:  # noqa: N802  unittest's name
            with self.captureOnCommitCallbacks() as waiting:
                left = send_on_commit(pay.message(1))
            with self.captureOnCommitCallbacks(execute=True):
                sent = send_on_commit(pay.message(2))
            seen.extend([len(waiting), is_there(left), is_there(sent)])

    result = unittest.TestResult()
    unittest.TestSuite([Case()]).run(result)
    assert (result.failures, result.errors) == ([], [])
    assert seen == [1, False, True]
