"""Telling of changes of a database, and listening to them, across event loops and processes."""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Collection, Iterable
from pathlib import Path

from ltq.brokers.sqlite._wake.folder import folder_of, have_sockets
from ltq.brokers.sqlite._wake.listener import Listener
from ltq.brokers.sqlite._wake.peers import Peers
from ltq.brokers.sqlite._wake.poll import Version
from ltq.brokers.sqlite._wake.receiver import Receiver

logger = logging.getLogger("ltq.broker")


class Wakes:
    """The wake-ups of one database file, for all event loops of this process, and after a fork.

    Who waits for a topic wakes up when any process tells of it: at once if a datagram gets
    through, and otherwise when a poll of `version` shows that something has changed. So a hint
    that is lost costs time only, at most a quarter of a second.
    """

    def __init__(self, path: Path, version: Version) -> None:
        self._path = folder_of(path) if have_sockets() else None
        self._version = version
        self._receivers: dict[asyncio.AbstractEventLoop, Receiver] = {}
        self._lock = threading.Lock()
        """Held while `_peers` is used."""
        self._peers: Peers | None = None
        if self._path is not None:
            self._peers = Peers(self._path)
            weakref.finalize(self, self._peers.close).atexit = False
        _all.add(self)

    def listen(self, topics: Iterable[str] = ()) -> Listener:
        """A listener, open from now on, in the running event loop. It is a context manager.

        with wakes.listen(["task:17"]) as listener:
            while not is_done(look()):
                await listener.wait(timeout=5)
        """
        self._drop_closed()
        loop = asyncio.get_running_loop()
        receiver = self._receivers.get(loop)
        if receiver is None:
            receiver = self._receivers[loop] = Receiver(self._path, self._version)
        return Listener(receiver, topics)

    def tell(self, topics: Collection[str]) -> None:
        """Wake those who wait for these topics: call this after each commit, from any thread.

        Never raises, and waits for nobody.
        """
        try:
            self._drop_closed()
            receivers = tuple(self._receivers.values())
            for receiver in receivers:
                receiver.tell(topics)
            if self._peers is not None:
                self._send(self._peers, topics, {receiver.name for receiver in receivers})
        except Exception:
            # The change is committed, and the caller must not take it for one that failed.
            logger.exception("telling of changes failed; they are noticed by polling")

    async def aclose(self) -> None:
        """Close what is open in the running event loop. Waits that go on there end."""
        receiver = self._receivers.pop(asyncio.get_running_loop(), None)
        if receiver is not None:
            await receiver.aclose()
        self._drop_closed()
        if not self._receivers:
            self.hang_up()

    def hang_up(self) -> None:
        """Close what `tell` has opened; the next one opens it again. From any thread."""
        if self._peers is not None:
            with self._lock:
                self._peers.close()

    def forget(self) -> None:
        """Let go what a forked process got from its parent, which keeps it."""
        self._lock = threading.Lock()
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            receiver.forget()
        if self._peers is not None:
            self._peers.close()

    def _send(self, peers: Peers, topics: Collection[str], own: set[str]) -> None:
        with self._lock:
            try:
                peers.send(topics, own)
            except OSError as error:
                peers.close()
                logger.debug("no hints to other processes: %s", error)

    def _drop_closed(self) -> None:
        """Close what belongs to event loops that were closed without `aclose`."""
        for loop, receiver in tuple(self._receivers.items()):
            if loop.is_closed() and self._receivers.pop(loop, None) is not None:
                receiver.abandon()


_all: "weakref.WeakSet[Wakes]" = weakref.WeakSet()


def _after_in_child() -> None:
    for wakes in tuple(_all):
        wakes.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
