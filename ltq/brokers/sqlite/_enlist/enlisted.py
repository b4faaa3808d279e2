"""Taking tasks over a connection of the user's: `Enlisted`."""

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ltq._aio.clock import Clock
from ltq.broker import check_envelopes, check_name, check_names, check_tasks
from ltq.brokers.sqlite._enlist.atomic import atomic, plain_rows
from ltq.brokers.sqlite._enlist.lent import Lender, Lent
from ltq.brokers.sqlite._file import tables
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.errors import code_of, error_of
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread.changes import leave_news
from ltq.errors import BrokerError, ConfigurationError
from ltq.message import Envelope, Published
from ltq.state import QueueStats, TaskState

T = TypeVar("T")

Tell = Callable[[Collection[str]], None]
"""Wakes those who wait for these topics, in any process."""

_LOCK = "DELETE FROM ltq_news WHERE number < 0"
"""Changes nothing, but lets the transaction be one that writes."""


class _Borrowed(Database):
    """A file over the user's connection, for one step of a transaction that has begun."""

    def begin(self, *, writes: bool) -> None:
        """See `Database.begin`: it has begun."""
        self.is_writing = True


class SqliteEnlisted:
    """The tasks of a file, over a connection of the user's to it.

    What a step knows it has read in that step: nothing of it is kept, as the user may undo it.
    """

    def __init__(
        self,
        lender: Lender,
        path: Path,
        clock: Clock,
        tell: Tell,
        *,
        is_shared: bool,
        keeps_history: bool,
    ) -> None:
        self._lender = lender
        self._path = path
        self._clock = clock
        self._tell = tell
        self._is_shared = is_shared
        self._keeps_history = keeps_history

    @property
    def is_async(self) -> bool:
        """See `Enlisted.is_async`."""
        return self._lender.is_async

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`."""
        check_envelopes(envelopes)
        return await self._run(lambda store: store.publish(envelopes), _has_sent)

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """See `Publisher.first`."""
        check_name("queue", queue)
        return await self._run(lambda store: store.first(queue, fingerprint))

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        ids = check_tasks(queue, ids)
        return await self._run(lambda store: store.states(queue, ids))

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        queues = check_names("queue", queues)
        return await self._run(lambda store: store.stats(queues))

    async def _run(
        self, step: Callable[[SqliteStore], T], has_written: Callable[[T], bool] = lambda _: False
    ) -> T:
        return await self._lender.use(partial(self._attempt, step, has_written))

    def _attempt(
        self, step: Callable[[SqliteStore], T], has_written: Callable[[T], bool], lent: Lent
    ) -> T:
        try:
            with plain_rows(lent.driver):
                _check_file(lent, self._path)
                with atomic(lent) as part:
                    answer, topics = self._take(step, lent.connection)
                    part.is_idle = not has_written(answer)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise _error_of(error, self._path) from error
        if part.is_idle:
            return answer
        if topics and part.is_committed:
            self._tell(topics)
        elif topics:
            lent.after_commit(partial(self._tell, topics))
        return answer

    def _take(
        self, step: Callable[[SqliteStore], T], connection: sqlite3.Connection
    ) -> tuple[T, set[str]]:
        """Run a step. Returns its answer, and the topics of what it has changed."""
        _lock(connection)
        tables.upgrade(connection, self._path, is_shared=self._is_shared)
        database = _Borrowed(connection, self._path, self._clock)
        store = SqliteStore(database)
        store.keeps_history = self._keeps_history
        answer = step(store)
        database.flush()
        if database.notices:
            leave_news(database, database.notices)
        return answer, {topic for topic, _ in database.notices}


def _has_sent(answers: Sequence[Published]) -> bool:
    return Published.CREATED in answers


def _lock(connection: sqlite3.Connection) -> None:
    """Let a transaction that has only begun be one that writes, before it reads anything."""
    try:
        connection.execute(_LOCK)
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_ERROR:  # that is: there are no tables yet
            raise


def _check_file(lent: Lent, path: Path) -> None:
    """Raise `ConfigurationError` if a connection is open on another file than the broker's."""
    # As bytes: the name of a file need not be UTF-8.
    query = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"
    (found,) = lent.connection.execute(query).fetchone()
    file = os.fsdecode(found or b"")
    if file and _is_same(file, path):
        return
    opened = file or "a database in memory"
    raise ConfigurationError(
        f"connection= is open on {opened}, but the broker's file is {path}: a transaction holds "
        "for one file only, so name the same in the broker URL"
    )


def _is_same(file: str, path: Path) -> bool:
    try:
        return os.path.samefile(file, path)
    except OSError:  # one is not there yet
        return os.path.realpath(file) == os.path.realpath(path)


def _error_of(error: Exception, path: Path) -> BrokerError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return BrokerError(
            f"{path} was changed by others since your transaction began to read: repeat it, "
            "and begin it with BEGIN IMMEDIATE or by the send"
        )
    return error_of(error, path)
