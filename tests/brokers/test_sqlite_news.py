"""What the processes of a file tell one another: each notice is heard once, whatever happens."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._thread.changes import Changes, leave_news

TOPIC = "task mail 1"


class Process:
    """What one process has of a file."""

    def __init__(self, path: Path) -> None:
        self.changes = Changes()
        self.database = Database(open_file(path), path, time.time, self.changes.catch_up)
        self.heard: list[str] = []

    def listen(self) -> None:
        self.changes.listen(TOPIC, self.heard.append)

    def look(self) -> None:
        self.database.begin(writes=False)
        self.database.commit()

    def keep(self, detail: str) -> int:
        """Leave a notice, without a commit."""
        self.database.begin(writes=True)
        return leave_news(self.database, [(TOPIC, detail)])

    def tell(self, detail: str) -> None:
        number = self.keep(detail)
        self.database.commit()
        self.changes.tell(number, [(TOPIC, detail)])


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "jobs.db")
    with closing(process.database):
        yield process


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "jobs.db")
    with closing(process.database):
        yield process


def test_a_notice_is_heard_once_by_its_own_process_and_by_others(
    one: Process, other: Process
) -> None:
    for process in (one, other):
        process.listen()
        process.look()
    one.tell("first")
    other.tell("second")
    for process in (one, other, one, other):
        process.look()
    assert (one.heard, other.heard) == (["first", "second"], ["first", "second"])


def test_a_commit_that_fails_hides_no_notice_of_another_process(
    one: Process, other: Process
) -> None:
    one.listen()
    one.look()
    number = one.keep("undone")
    one.database.rollback()
    assert other.keep("kept") == number
    other.database.commit()
    one.look()
    assert one.heard == ["kept"]


def test_who_begins_to_listen_within_a_transaction_hears_what_follows(
    one: Process, other: Process
) -> None:
    one.look()
    one.database.begin(writes=False)
    one.listen()  # and then reads in this transaction
    one.database.commit()
    other.tell("later")
    one.look()
    assert one.heard == ["later"]


def test_a_watch_may_be_dropped_while_another_begins(one: Process) -> None:
    """By a garbage collection, which runs in any thread, at any place."""

    def drop_within() -> None:
        with one.changes._lock:
            one.changes.unlisten(TOPIC, one.heard.append)

    thread = threading.Thread(target=drop_within, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_a_backup_with_an_equal_last_number_says_that_anything_may_have_changed(
    one: Process, other: Process, tmp_path: Path
) -> None:
    other.tell("before")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        other.database.connection.backup(backup)
        one.listen()
        one.look()
        missed: list[str] = []
        one.changes.on_missed(lambda: missed.append("missed"))
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as file:
            backup.backup(file)
    one.look()
    one.look()
    assert (missed, one.heard) == (["missed"], [])
