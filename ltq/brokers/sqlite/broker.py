"""The broker on one SQLite file, for any number of processes of one machine.

The rules of every transition are those of `ltq.brokers._rules`, over places in tables
(`_file/schema.py`). All calls of a process go through one thread with one connection (`_thread`);
those that wait there share a transaction.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from ltq._aio.clock import Clock, system_clock
from ltq._aio.loops import running_loop
from ltq.broker import (
    DEFAULT_SCAN,
    Consumer,
    ConsumerConfig,
    Enlisted,
    Finding,
    Severity,
    check_envelopes,
    check_task,
    examine_queues,
)
from ltq.broker.feed import Feed
from ltq.brokers._calls import StoreBroker
from ltq.brokers._rules.store import Store
from ltq.brokers._sessions import Sessions
from ltq.brokers.sqlite._consumer import SqliteConsumer
from ltq.brokers.sqlite._enlist.enlisted import SqliteEnlisted
from ltq.brokers.sqlite._enlist.lend import lend
from ltq.brokers.sqlite._file.errors import FullError
from ltq.brokers.sqlite._file.network import network_of
from ltq.brokers.sqlite._session import Session
from ltq.brokers.sqlite._url import in_folder, parse_url
from ltq.brokers.sqlite._wake.sender import Sender
from ltq.message import Envelope, Published

T = TypeVar("T")

_SENT_TOGETHER = 500
"""Most tasks of one step of `publish`, so that others get their turn."""


class SqliteBroker(StoreBroker):
    """Tasks in one file: `sqlite:///jobs.db` in the current folder, `sqlite:////folder/jobs.db`.

    The file is made at the first call if it is not there, and kept. What a call has acknowledged
    survives a power cut; with `sync=normal` it survives the end of every process, while a power cut
    may take back the last moments. If brokers of one process differ in that, they all wait for the
    disk. With `shared=1` LTQ's tables may be in a database of yours. `history` and `list_final` are
    as for Redis. Raises `ConfigurationError` for a URL that cannot be read. Calls raise
    `BrokerError` for a file that cannot be used.
    """

    def __init__(self, url: str, *, clock: Clock = system_clock) -> None:
        self._given = url
        self._settings = parse_url(url)
        self._clock = clock
        self.lists_final: bool = self._settings.lists_final
        self._sessions = Sessions[Session]()
        self._sender: Sender | None = None
        """For what is enqueued over connections of the user's."""

    @staticmethod
    def in_folder(url: str, folder: str) -> str:
        """The URL, with a relative path that starts in this folder and not the working one."""
        return in_folder(url, folder)

    @property
    def url(self) -> str:
        """Its URL with the absolute path, without parameters."""
        return self._settings.url

    @property
    def exists(self) -> bool:
        """Whether there is anything at its path."""
        return os.path.exists(self._settings.path)

    def clone(self) -> "SqliteBroker":
        """Another broker on the same file. In one process they share a connection."""
        other = SqliteBroker(self._given, clock=self._clock)
        other._settings = self._settings  # the working folder may be another one now
        return other

    def enlist(self, connection: object) -> Enlisted:
        """See `Enlisting.enlist`: a connection to the broker's file.

        That is a `sqlite3.Connection`; a `Connection` or `Session` of SQLAlchemy, or one of its
        `asyncio` kind; or Django's `connection`.
        """
        if self._sender is None:
            self._sender = Sender(self._settings.path)
        settings = self._settings
        return SqliteEnlisted(
            lend(connection),
            settings.path,
            self._clock,
            self._sender.tell,
            is_shared=settings.is_shared,
            keeps_history=settings.keeps_history,
        )

    async def ping(self) -> None:
        """Raise `BrokerError` if the file cannot be used."""
        await self._run(lambda store: store.served([]))

    async def hazards(self) -> list[str]:
        """See `Broker.hazards`: a file on another machine."""
        path = self._settings.path
        network = network_of(path)
        if network is None:
            return []
        text = (
            f"{path} is on a network file system ({network}), where locks and the shared log do "
            "not work as SQLite needs them: use a disk of this machine"
        )
        return [text]

    async def time(self) -> float:
        """See `ScheduleStore.time`."""
        running_loop()
        await asyncio.sleep(0)
        return self._clock()

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`."""
        check_envelopes(envelopes)
        answers: list[Published] = []
        for start in range(0, len(envelopes), _SENT_TOGETHER):
            some = envelopes[start : start + _SENT_TOGETHER]
            answers += await self._publish(some)
        return answers

    async def _publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        return await self._run(lambda store: store.publish(envelopes))

    def feed(self, queue: str, task_id: str) -> Feed:
        """See `Watcher.feed`."""
        check_task(queue, task_id)
        return self._here().watching.feed(queue, task_id)

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        """See `Broker.open_consumer`."""
        session, keeps_history = self._here(), self._settings.keeps_history
        return SqliteConsumer(
            session.thread, session.listening, config, keeps_history=keeps_history
        )

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`. There is nothing to scan: entries in a file are in order."""
        queues = examine_queues(await self.stats(await self.queues()))
        hazards = await self.hazards()
        try:
            await self._here().thread.call(lambda store: store.database.check_room())
        except FullError as error:
            hazards = [*hazards, str(error)]
        if hazards:
            return [Finding("store", Severity.DANGER, text) for text in hazards] + queues
        text = f"{self._settings.path} is on this machine"
        if self._settings.is_durable:
            return [Finding("store", Severity.OK, f"{text}, and each commit on its disk"), *queues]
        advice = "without sync=normal in the URL it would lose nothing"
        text = f"{text}; a power cut may take back its last moments (sync=normal)"
        return [Finding("store", Severity.OK, text, advice), *queues]

    async def aclose(self) -> None:
        """Leave the file, in the running event loop. The broker may be used again.

        If this is cancelled the closing goes on, and a repeated call waits for its end.
        """
        if self._sender is not None:
            self._sender.hang_up()
        await self._sessions.aclose()

    async def _run(self, step: Callable[[Store], T]) -> T:
        thread = self._here().thread
        return await thread.call(step, keeps_history=self._settings.keeps_history)

    def _here(self) -> Session:
        """The session of the running event loop, made at its first use in this loop and process."""
        return self._sessions.here(self._new_session)

    def _new_session(self) -> Session:
        settings = self._settings
        return Session(
            settings.path, self._clock, is_durable=settings.is_durable, is_shared=settings.is_shared
        )
