"""What is heard from the server: one connection that listens, for all of one event loop."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from uuid import uuid4

import psycopg

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.postgres._server.connections import CALL_PATIENCE, Connection
from ltq.brokers.postgres._server.errors import is_lost
from ltq.brokers.postgres._server.link import Link
from ltq.brokers.postgres._server.silence import end
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

Hear = Callable[[str, str, list[str]], object]
"""Called with the kind of a message, what it is of, and names; `*` stands for all names."""

SAID_FOR = 15.0
"""Seconds for which it is said that somebody waits."""

_SAID_EVERY = 7.0
"""Seconds after which that is said again."""

_PROBED_FOR = 1.0
"""Seconds in which a message has to come back, or nothing is heard."""

_PROBED_EVERY = 2
"""Of the times that it is said again, in how many that is tried."""

_LINGER = 15.0
"""Seconds for which it listens on when nobody wants to hear: who waits for one result after another
need not reconnect each time."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class Ears(Service):
    """Listens while somebody wants to hear, and says so to those who would tell.

    `is_hearing` is true while messages arrive. `changed` is called when that changes, as something
    may have been missed.
    """

    def __init__(self, link: Link) -> None:
        super().__init__("ltq-postgres-ears", logger)
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._hears: list[Hear] = []
        self._topics: dict[str, int] = {}
        self._said: dict[str, float] = {}
        self._changed: list[Callable[[], object]] = []
        self._probe = ""
        self._probed = asyncio.Event()
        self._is_deaf_told = False
        self._was_tried = asyncio.Event()
        """Set once it is known whether messages arrive."""
        self._leaving: asyncio.TimerHandle | None = None
        self.is_hearing: bool = False

    def listen(self, hear: Hear, changed: Callable[[], object]) -> None:
        """Call these from now on."""
        self._hears.append(hear)
        self._changed.append(changed)
        self._stay()
        self.start()

    def unlisten(self, hear: Hear, changed: Callable[[], object]) -> None:
        """Undo `listen`."""
        self._hears.remove(hear)
        self._changed.remove(changed)
        if not self._hears:
            self._stay()
            if self._loop.is_closed():
                self.stop()
            else:
                self._leaving = self._loop.call_later(_LINGER, self._depart, context=Context())

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _depart(self) -> None:
        self._leaving, main = None, self._main
        self.stop()
        if main is not None:
            main.add_done_callback(self._return)

    def _return(self, _: "asyncio.Task[None]") -> None:
        """It has left. Somebody may want to hear again since."""
        if self._hears:
            self.start()

    def stop(self) -> None:
        """See `Service.stop`."""
        self._stay()
        super().stop()

    def abandon(self) -> None:
        """See `Service.abandon`."""
        self._stay()
        super().abandon()

    async def settle(self) -> None:
        """Wait until messages arrive, if they do: at most as long as it takes to find that out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBED_FOR):
                await self._was_tried.wait()

    async def attend(self, topics: Iterable[str]) -> bool:
        """Somebody waits for these topics. Returns whether that was not known before."""
        now, new = time.monotonic(), []
        for topic in topics:
            self._topics[topic] = self._topics.get(topic, 0) + 1
            if self._said.get(topic, 0.0) < now:
                new.append(topic)
        if new:
            await self._say(new)
        return bool(new)

    def leave(self, topics: Iterable[str]) -> None:
        """Undo `attend`. What was said holds for a while."""
        for topic in topics:
            count = self._topics.pop(topic, 0) - 1
            if count > 0:
                self._topics[topic] = count

    async def _say(self, topics: list[str]) -> None:
        now, said = time.monotonic(), self._said
        await self._link.call("wait_for", topics, SAID_FOR)
        if len(said) > 1000:
            said.clear()
        said.update(dict.fromkeys(topics, now + _SAID_EVERY))

    async def _run(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        was_lost = False
        while True:
            connection: Connection | None = None
            try:
                connection = await self._link.connections.open(time.monotonic() + CALL_PATIENCE)
                channel = self._link.settings.schema.channel
                await connection.execute(f'LISTEN "{channel}"')
                if was_lost:
                    # What was said between the loss and a crash is forgotten as well: connections
                    # of a server that crashes do not all end at once.
                    self._said = {}
                keep = self._spawn(self._keep(connection), "keep")
                try:
                    await self._hear(connection)
                finally:
                    keep.cancel()
            except (psycopg.Error, BrokerError, OSError) as error:
                if isinstance(error, psycopg.Error) and not is_lost(error):
                    logger.warning(
                        "%s: cannot listen for notifications: %s", self._link.settings.server, error
                    )
            finally:
                self._was_tried.set()
                was_lost = True
                if self.is_hearing:
                    pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
                self._said = {}  # a crash may forget it: also what is just being said
                self._set_hearing(is_hearing=False)
                if connection is not None:
                    await self._link.connections.drop(connection)
            await asyncio.sleep(pauses.next())

    async def _hear(self, connection: Connection) -> None:
        """Pass on what is heard, until the connection is lost."""
        async for notice in connection.notifies():
            kind, of, *names = notice.payload.split("\n")
            if kind == "probe":
                if of == self._probe:
                    self._probed.set()
                continue
            for hear in tuple(self._hears):
                hear(kind, of, names)

    async def _keep(self, connection: Connection) -> None:
        """Find out whether anything is heard, and say again and again that somebody waits."""
        rounds, pauses = 0, ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            pause = _SAID_EVERY
            try:
                # After a crash the server does not know it any more. First: once messages are
                # known to come, all look for what they have missed.
                untold = [one for one in self._topics if rounds or one not in self._said]
                if untold:
                    await self._say(untold)
                if rounds % _PROBED_EVERY == 0 and not await self._is_heard() and self.is_hearing:
                    end(connection)  # it is dead, or nobody serves it: another may do
                    return
                rounds += 1
                pauses.reset()
            except BrokerError as error:
                logger.debug("%s", error)
                pause = pauses.next()
            await asyncio.sleep(pause)

    async def _is_heard(self) -> bool:
        """Whether a message comes back."""
        self._probe, self._probed = uuid4().hex, asyncio.Event()
        tell = "SELECT pg_notify(%s, %s)"
        channel = self._link.settings.schema.channel
        await self._link.query(tell, channel, f"probe\n{self._probe}")
        try:
            async with asyncio.timeout(_PROBED_FOR):
                await self._probed.wait()
        except TimeoutError:
            self._was_tried.set()
            if not self.is_hearing and not self._is_deaf_told:
                self._is_deaf_told = True
                logger.warning(
                    "%s does not deliver notifications, as behind a pooler in transaction mode: "
                    "polling instead",
                    self._link.settings.server,
                )
            return False
        self._set_hearing(is_hearing=True)
        self._was_tried.set()
        return True

    def _set_hearing(self, *, is_hearing: bool) -> None:
        if self.is_hearing is not is_hearing:
            self.is_hearing = is_hearing
            for changed in tuple(self._changed):
                changed()
