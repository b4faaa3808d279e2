"""What wakes those who listen in one event loop: hints, tells of this process, and the poll."""

import asyncio
import logging
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Protocol

from ltq._aio.threads import call_in
from ltq.brokers.sqlite._wake.hints import EVERYTHING, Heard
from ltq.brokers.sqlite._wake.interest import Interest
from ltq.brokers.sqlite._wake.mailbox import Mailbox
from ltq.brokers.sqlite._wake.poll import ALONE, COVER, Pauses, Poll, Version

logger = logging.getLogger("ltq.broker")

_TRY_AGAIN = 5.0
"""Seconds after which a socket that could not be made is tried again, while somebody waits."""


class Hearer(Protocol):
    """Who listens."""

    def hear(self, heard: Heard) -> None:
        """These topics, of those it listens to, may have changed."""
        ...

    def close(self) -> None:
        """Nothing is heard any more."""
        ...


class Receiver:
    """The listeners of one event loop, by topic. `path` is the directory of sockets, if any."""

    def __init__(self, path: str | None, version: Version) -> None:
        self._path = path
        self._version = version
        self._loop = asyncio.get_running_loop()
        self._hearers: set[Hearer] = set()
        self._by_topic: dict[str, set[Hearer]] = {}
        self._interest = Interest()
        self._poll = Poll(self._look, partial(self._pass_on, EVERYTHING), self._pauses)
        self._mailbox: Mailbox | None = None
        self._has_warned = False
        self._open()

    @property
    def name(self) -> str:
        """What senders know it by; empty if they cannot reach it."""
        return "" if self._mailbox is None else self._mailbox.name

    def open(self, hearer: Hearer) -> None:
        """Begin to tell a listener of its topics."""
        self._hearers.add(hearer)

    def close(self, hearer: Hearer) -> None:
        """Undo `open`. Its topics are to be discarded as well."""
        self._hearers.discard(hearer)

    def add(self, topic: str, hearer: Hearer) -> None:
        """Tell a listener of a topic, from now on."""
        hearers = self._by_topic.setdefault(topic, set())
        hearers.add(hearer)
        if len(hearers) == 1 and self._interest.add(topic):
            self._show()

    def discard(self, topic: str, hearer: Hearer) -> None:
        """Undo `add`."""
        hearers = self._by_topic[topic]
        hearers.remove(hearer)
        if not hearers:
            del self._by_topic[topic]
            if self._interest.discard(topic):
                self._show()

    def waiting(self) -> AbstractContextManager[None]:
        """A context manager, during which somebody waits."""
        return self._poll.waiting()

    def tell(self, topics: Iterable[str]) -> None:
        """These topics have changed. From any thread."""
        known = frozenset(topic for topic in topics if topic in self._by_topic)
        if known:
            call_in(self._loop, self._pass_on, Heard(known))

    async def aclose(self) -> None:
        """Close it, and all that listen; call this in its event loop."""
        for hearer in tuple(self._hearers):
            hearer.close()
        await self._poll.aclose()
        self._drop_mailbox()

    def abandon(self) -> None:
        """Close it after its event loop was closed."""
        self._poll.abandon()
        self._drop_mailbox()

    def forget(self) -> None:
        """Let go, in a forked process, what the parent keeps."""
        self._drop_mailbox()

    def _pass_on(self, heard: Heard) -> None:
        if heard.everything:
            for hearer in tuple(self._hearers):
                hearer.hear(EVERYTHING)
        for topic in heard.topics:
            for hearer in self._by_topic.get(topic, ()):
                hearer.hear(Heard(frozenset((topic,))))

    # The poll

    def _pauses(self) -> Pauses:
        return ALONE if self._mailbox is None else COVER

    async def _look(self) -> object:
        """The version of the database. Heals the socket first."""
        if self._mailbox is not None and not self._mailbox.is_found():
            self._drop_mailbox()
            self._open()
        elif self._mailbox is None and self._loop.time() >= self._try_at:
            self._open()
        return await self._version()

    # The socket

    def _open(self) -> None:
        self._try_at = self._loop.time() + _TRY_AGAIN
        if self._path is None:
            return
        try:
            self._mailbox = Mailbox.opened(self._path, self._interest.bits)
            self._close_mailbox = weakref.finalize(self, self._mailbox.close)
            # The event loop must not hold the receiver of a broker that nobody holds.
            self._mailbox.read_with(partial(_read, weakref.ref(self)))
        except FileNotFoundError:  # the folder is not there: who opens the file says so
            self._drop_mailbox()
        except (OSError, NotImplementedError) as error:
            self._drop_mailbox()
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "no socket in %s, so changes by other processes are noticed by polling: %s",
                self._path,
                error if str(error) else type(error).__name__,
            )

    def _show(self) -> None:
        if self._mailbox is not None:
            with suppress(OSError):  # the poll covers it
                self._mailbox.show(self._interest.bits)

    def _drop_mailbox(self) -> None:
        if self._mailbox is not None:
            self._mailbox = None
            self._close_mailbox()

    def _read(self) -> None:
        if self._mailbox is not None:
            self._pass_on(self._mailbox.take())


def _read(reference: "weakref.ref[Receiver]") -> None:
    receiver = reference()
    if receiver is not None:
        receiver._read()  # noqa: SLF001  it is this module's
