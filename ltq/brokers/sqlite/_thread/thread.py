"""The one thread of a process in which a file is open. Calls wait for it, and share its commits."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from contextvars import Context
from copy import copy
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from ltq._aio.clock import Clock
from ltq._aio.service import drop_error
from ltq.brokers.sqlite._file.database import Database, Notice
from ltq.brokers.sqlite._file.errors import error_of, is_harmless, is_lasting
from ltq.brokers.sqlite._file.opening import abandon, open_file
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread.bell import Bell
from ltq.brokers.sqlite._thread.changes import POLL, POLL_ALONE, Changes, leave_news
from ltq.brokers.sqlite._thread.job import Job, settle
from ltq.brokers.sqlite._thread.leaving import Leaving
from ltq.brokers.sqlite._wake.wakes import Wakes
from ltq.errors import BrokerError
from ltq.logger import printable

logger = logging.getLogger("ltq.broker")

T = TypeVar("T")

_MOST_TOGETHER = 256
"""Most calls that share one transaction."""

_LONGEST_TOGETHER = 0.05
"""Seconds after which no further call joins a transaction: other processes wait for its end."""

_TRIM_EVERY = 10.0
"""Seconds between looks whether the file is larger than it needs to be."""


class SqliteThread:
    """Opens a file at the first call, and closes it when it is told to stop.

    `ended` is called with it, in the thread, once the file is closed for good.
    """

    def __init__(self, path: Path, clock: Clock, ended: "Callable[[SqliteThread], None]") -> None:
        self.path = path
        self.changes = Changes()
        self.is_durable: bool = False
        """Whether commits wait for the disk."""
        self.is_shared: bool = False
        """Whether LTQ's tables may be made in a file that has others."""
        self._gate = threading.Lock()
        """Held while SQLite is at work: a process must not fork then."""
        self._is_resting = False
        self.wakes = Wakes(path, self.look)
        self._clock = clock
        self._store: SqliteStore | None = None
        self._leaving = Leaving(path)
        self._is_away = False
        self._untold: tuple[int, Collection[Notice]] = 0, ()
        """What was committed last, until it is told."""
        self._trim_at = 0.0
        self._jobs: deque[Job[Any]] = deque()
        self._was_passed_over = False
        """Whether calls that wait for the disk were there, and others went before them."""
        self._asides: deque[Callable[[], object]] = deque()
        self._bell = Bell()
        self._is_stopping = self._is_closed = False
        self._stopped: list[Callable[[], None]] = []
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name="ltq-sqlite", daemon=True)
        Context().run(self._thread.start)  # some Pythons let it inherit the caller's

    async def call(
        self,
        step: Callable[[SqliteStore], T],
        undo: Callable[[SqliteStore, T], object] | None = None,
        *,
        keeps_history: bool = True,
        is_durable: bool = True,
    ) -> T:
        """Run a step, and return what it returns once it is in the file.

        If this is cancelled, a step that has not begun never does. Otherwise `undo` is run with its
        answer, before all calls that come later. Raises `BrokerError`.
        """
        job = Job(step, keeps_history=keeps_history, is_durable=is_durable)
        try:
            return await self.submit(job).future
        except asyncio.CancelledError:
            if undo is not None:
                self._undo_later(job, undo)
            raise

    def _undo_later(self, job: Job[T], undo: Callable[[SqliteStore, T], object]) -> None:
        """Undo what a job does or has done. Nobody waits for that."""

        def step(store: SqliteStore) -> None:
            for answer in job.given():
                undo(store, answer)

        # Of the job's kind, as each kind stays in its order.
        undoing = Job(step, keeps_history=job.keeps_history, is_durable=job.is_durable)
        self.submit(undoing).future.add_done_callback(drop_error)

    def submit(self, job: Job[T]) -> Job[T]:
        """Let a job wait for its turn."""
        self._jobs.append(job)
        self._bell.ring()
        if self._is_closed:
            self._refuse()
        return job

    def look(self) -> None:
        """Look at once for what others have written. From any thread."""
        self._bell.ring()

    def stop(self, stopped: Callable[[], None]) -> None:
        """Close the file after the calls that wait, and then call `stopped` in the thread."""
        self._stopped.append(stopped)
        self._is_stopping = True
        self._bell.ring()
        if self._is_closed:
            stopped()

    def aside(self, step: Callable[[], object]) -> None:
        """Run a step in the thread, soon, beside its calls. A garbage collection may call this.

        There no lock may be waited for, and nothing changed that whoever it interrupts has read.
        Does nothing once the file is closed for good.
        """
        self._asides.append(step)
        self._bell.ring()

    def join(self, timeout: float) -> None:
        """Wait until the file is closed."""
        self._thread.join(timeout)

    def rest(self, patience: float) -> None:
        """Close the file, and leave it closed until `go_on`, so that the process can be forked.

        Safe to repeat, also if it was cut off.

        If it were open, SQLite in the child would take the locks of this process for its own. Then
        others may remove the log that the child writes to, with all that it has acknowledged.
        """
        if not self._is_resting:
            self._is_resting = self._gate.acquire(timeout=patience)
        if self._is_resting and self._store is not None:
            self._close()

    def go_on(self) -> None:
        """Undo `rest`."""
        if self._is_resting:
            self._is_resting = False
            self._gate.release()

    def abandon(self) -> None:
        """Leave a file that could not be closed to the process that has forked this one."""
        if self._store is not None:
            abandon(self._store.database.connection)

    # In the thread

    def _run(self) -> None:
        while self._jobs or self._asides or not self._is_stopping:
            self._bell.wait(self._pause() if self.changes.is_heard else None)
            self._step_aside()
            if self.changes.is_heard:
                self.wakes.heal()
                with self._gate:
                    if not self._jobs:
                        self._look()
            while self._jobs:
                with self._gate:
                    self._run_jobs()
            with self._gate:
                self._trim()
        with self._gate:
            self._close()
        self._ended(self)
        self.wakes.close()
        self._is_closed = True
        self._refuse()
        for stopped in self._stopped:
            stopped()

    def _pause(self) -> float:
        """Seconds until it looks for what others have written, unless somebody rings."""
        return POLL if self.wakes.are_got else POLL_ALONE

    def _step_aside(self) -> None:
        while self._asides:
            try:
                self._asides.popleft()()
            except Exception:
                logger.exception("leaving %s failed", self.path)

    def _refuse(self) -> None:
        """Answer calls that came too late."""
        late: list[Job[Any]] = []
        with suppress(IndexError):  # others may do so at this moment
            while True:
                late.append(self._jobs.popleft())
        for job in late:
            text = f"{self.path} was closed: the broker of this call was, or the process ends"
            job.error = BrokerError(text)
        settle(late)

    def _run_jobs(self) -> None:
        """Run calls that wait, in one transaction if all goes well."""
        present, jobs = len(self._jobs), list[Job[Any]]()
        is_durable = self._sort(present)
        error = self._attempt(self._taken(jobs, is_durable), is_durable)
        if error is not None and (is_lasting(error) or not jobs):
            jobs += [self._jobs.popleft() for _ in range(present - len(jobs))]
            for job in jobs:
                job.error = copy(error)  # each caller adds its frames to what it raises
        elif error is not None and len(jobs) == 1:
            jobs[0].error = error
        elif error is not None:
            for job in jobs:
                job.error = self._attempt([job], job.is_durable)
                self._tell()
        if is_durable:  # others may begin with what was sent, or go on with what has ended
            self._tell()
            settle(jobs)
        else:
            settle(jobs)
            self._tell()

    def _sort(self, present: int) -> bool:
        """Let claims go before calls that wait for the disk, so that tasks run during that wait.

        What was passed over goes first the next time. Returns whether the first call is durable.
        """
        waiting = [self._jobs.popleft() for _ in range(present)]
        waiting.sort(key=attrgetter("is_durable"), reverse=self._was_passed_over)
        self._jobs.extendleft(reversed(waiting))  # others may have come meanwhile, behind them
        is_durable = waiting[0].is_durable
        self._was_passed_over = not is_durable and waiting[-1].is_durable
        return is_durable

    def _taken(self, jobs: list[Job[Any]], is_durable: bool) -> Iterator[Job[Any]]:
        """Take calls that wait, one by one, as many as may share a transaction."""
        until = time.monotonic() + _LONGEST_TOGETHER
        while self._jobs and len(jobs) < _MOST_TOGETHER and (not jobs or time.monotonic() < until):
            if self._jobs[0].is_durable and not is_durable:
                break
            jobs.append(self._jobs.popleft())
            yield jobs[-1]

    def _attempt(self, jobs: Iterable[Job[Any]], is_durable: bool) -> Exception | None:
        """Run calls in one transaction. Returns the error after which none of them was run."""
        try:
            store = self._open()
            store.database.is_durable = self.is_durable and is_durable
            for job in jobs:
                job.run(store)
            self._commit(store.database)
        except Exception as error:
            return self._undo(error)
        return None

    def _open(self) -> SqliteStore:
        """The store, with a file that is still the one at its path."""
        store = self._store
        if store is not None and store.database.is_replaced():
            abandon(store.database.connection)
            store = self._store = None
            text = "%s was deleted or replaced while it was open: going on in the file there now"
            logger.error(text, printable(str(self.path)))
            self.changes.lose()
        elif store is not None and store.database.has_lost_its_log():
            self._close()
            store = None
        if store is None:
            connection = open_file(self.path, is_shared=self.is_shared)
            database = Database(connection, self.path, self._clock, self.changes.catch_up)
            store = self._store = SqliteStore(database)
        self._leaving.note(store.database)
        if self._is_away:
            store.database.was_away, self._is_away = True, False
        return store

    def _commit(self, database: Database) -> None:
        notices, database.notices = database.notices, {}
        number = leave_news(database, notices) if notices else 0
        database.commit()
        self._untold = number, notices
        self._leaving.note(database)  # it may have moved the log into the file

    def _tell(self) -> None:
        """Tell all who listen, here and elsewhere, what the last transaction has changed."""
        (number, notices), self._untold = self._untold, (0, ())
        if not notices:
            return
        try:
            self.changes.tell(number, notices)
        except Exception:  # what is in the file is in the file
            logger.exception("listeners of %s could not be told what changed", self.path)
        self.wakes.tell({topic for topic, _ in notices})

    def _trim(self) -> None:
        """Give back, from time to time, some of the room that the file does not need."""
        if self._store is not None and time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + _TRIM_EVERY
            with suppress(sqlite3.Error):  # another time
                self._store.database.trim()
                self._leaving.note(self._store.database)

    def _undo(self, error: Exception) -> Exception:
        """Undo a transaction. Returns what its callers raise."""
        told = error
        if isinstance(error, sqlite3.Error | OverflowError | UnicodeError):
            told = error_of(error, self.path)
            told.__cause__ = error
        self._is_away = is_lasting(told)
        if self._store is None:
            return told
        try:
            self._store.database.rollback()
        except sqlite3.Error:
            self._close()
        else:
            if not is_harmless(error):
                self._close()
        return told

    def _look(self) -> None:
        """Find out whether others have written."""
        store = self._store
        if store is None:
            return
        try:
            if store.database.has_news():
                store.database.begin(writes=False)
                store.database.commit()
        except Exception as error:  # the next call tells it to its caller
            logger.debug("%s could not be looked at: %s", self.path, self._undo(error))

    def _close(self) -> None:
        store, self._store = self._store, None
        try:
            self.changes.lose()
        finally:  # also if a signal handler raises, before a fork
            if store is not None:
                self._leaving.close(store.database)
