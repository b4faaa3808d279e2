"""Enqueueing in a transaction without an event loop, beside other processes, and their ends."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.errors import BrokerError, ConfigurationError, TaskNotFoundError
from ltq.sync import SyncHandle
from tests.brokers.enlist.desks import ORDER, orders_in


@pytest.fixture
def pay(path: Path) -> Iterator[ltq.Task[[int], int]]:
    """A task in the file of an application."""
    worker = ltq.Worker("shop", broker=SqliteBroker(f"sqlite:///{path}?shared=1&sync=normal"))

    @worker.task(name="pay")
    def pay(order: int) -> int:
        return order

    assert not is_there(pay.handle_sync("none"))  # who opens the file first makes LTQ's tables
    yield pay
    ltq.close_sync()


def is_there(handle: SyncHandle[int]) -> bool:
    try:
        handle.state()
    except TaskNotFoundError:
        return False
    return True


def is_within(connection: sqlite3.Connection) -> bool:
    """Whether a transaction is open. Type checkers believe that it stays so."""
    return connection.in_transaction


class TestSync:
    def test_it_is_written_in_the_thread_of_the_caller(
        self, path: Path, pay: ltq.Task[[int], int]
    ) -> None:
        with closing(sqlite3.connect(path)) as connection:
            mine = pay.with_options(connection=connection)
            connection.execute(ORDER)
            one = mine.send_sync(1)
            two, three = mine.send_many_sync([pay.message(2), pay.message(3)])
            assert [is_there(handle) for handle in (one, two, three)] == [False] * 3
            connection.commit()
            assert [is_there(handle) for handle in (one, two, three)] == [True] * 3
            gone = mine.send_sync(4)
            connection.rollback()
            assert (is_there(gone), orders_in(path)) == (False, 1)

    def test_so_it_is_with_a_session(self, path: Path, pay: ltq.Task[[int], int]) -> None:
        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        with Session(engine) as session, session.begin():
            handle = pay.with_options(connection=session).send_sync(1)
            assert not is_there(handle)
        assert is_there(handle)

    def test_another_thread_is_refused(self, path: Path, pay: ltq.Task[[int], int]) -> None:
        errors: list[Exception] = []

        def send() -> None:
            try:
                pay.with_options(connection=connection).send_sync(1)
            except Exception as error:
                errors.append(error)

        with closing(sqlite3.connect(path)) as connection:
            thread = threading.Thread(target=send)
            thread.start()
            thread.join()
        (error,) = errors
        assert isinstance(error, ConfigurationError)
        assert "cannot be used here: SQLite objects created in a thread" in str(error)

    def test_an_asynchronous_session_is_refused(
        self, path: Path, pay: ltq.Task[[int], int]
    ) -> None:
        session = AsyncSession(create_async_engine(f"sqlite+aiosqlite:///{path}"))
        with pytest.raises(ConfigurationError, match=r"is asynchronous: use `await shop:pay\."):
            pay.with_options(connection=session).send_sync(1)


async def test_within_an_event_loop_it_is_refused(path: Path, pay: ltq.Task[[int], int]) -> None:
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(ConfigurationError, match=r"use `await shop:pay\.send\(\.\.\.\)`"),
    ):
        pay.with_options(connection=connection).send_sync(7)


class TestOthers:
    def test_a_locked_file_changes_nothing(self, path: Path, pay: ltq.Task[[int], int]) -> None:
        with (
            closing(sqlite3.connect(path)) as other,
            closing(sqlite3.connect(path, timeout=0.01)) as connection,
        ):
            other.execute(ORDER)
            with pytest.raises(BrokerError, match=f"{path} is locked"):
                pay.with_options(connection=connection).send_sync(1)
            assert not is_within(connection)
            other.rollback()
            pay.with_options(connection=connection).send_sync(1)
            assert is_within(connection)
            connection.rollback()

    def test_what_has_read_an_older_state_is_told_to_begin_otherwise(
        self, path: Path, pay: ltq.Task[[int], int]
    ) -> None:
        pay.send_sync(0)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM tasks").fetchone()
            pay.send_sync(1)
            with pytest.raises(BrokerError, match=r"changed by others .* BEGIN IMMEDIATE"):
                pay.with_options(connection=connection).send_sync(2)
            connection.execute("ROLLBACK")

    def test_an_error_in_the_middle_leaves_the_rest_of_the_transaction(
        self, path: Path, pay: ltq.Task[[int], int]
    ) -> None:
        pay.send_sync(0)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(ORDER)
            connection.execute(
                "CREATE TEMP TRIGGER no BEFORE INSERT ON ltq_envelopes "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            with pytest.raises(BrokerError, match="cannot be used: no"):
                pay.with_options(connection=connection).send_sync(1)
            connection.commit()
            assert orders_in(path) == 1
            for table in ("tasks", "ids", "envelopes"):
                query = f"SELECT count(*) FROM ltq_{table}"
                assert connection.execute(query).fetchone() == (1,)

    def test_what_others_do_to_a_full_queue_is_seen(
        self, path: Path, pay: ltq.Task[[int], int]
    ) -> None:
        """The broker's own connection knows nothing of what was undone."""
        with closing(sqlite3.connect(path)) as connection:
            for number in range(3):
                pay.with_options(connection=connection).send_sync(number)
                pay_ids = pay.with_options(connection=connection, id="same").send_sync(number)
                connection.rollback()
                assert not is_there(pay_ids)
                assert is_there(pay.send_sync(number))
        assert len({handle.id for handle in [pay.send_sync(1), pay.send_sync(2)]}) == 2


CRASH = """
import sqlite3, sys
import ltq
from ltq.brokers.sqlite import SqliteBroker

path = sys.argv[1]
worker = ltq.Worker("shop", broker=SqliteBroker(f"sqlite:///{path}?shared=1"))

@worker.task
async def pay(order: int) -> None: ...

connection = sqlite3.connect(path)
connection.execute("INSERT INTO tasks VALUES ('an order')")
pay.with_options(connection=connection, id="first").send_sync(1)
connection.commit()
connection.execute("INSERT INTO tasks VALUES ('an order')")
pay.with_options(connection=connection, id="second").send_sync(2)
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_process_that_is_killed_before_its_commit_has_sent_nothing(
    path: Path, pay: ltq.Task[[int], int]
) -> None:
    command = [sys.executable, "-c", CRASH, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert is_there(pay.handle_sync("first"))
    assert not is_there(pay.handle_sync("second"))
    assert orders_in(path) == 1
    assert is_there(pay.send_sync(3))
