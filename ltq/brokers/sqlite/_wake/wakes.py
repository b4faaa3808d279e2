"""The hints of a database file in one process: those that it sends, and those that it gets."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path

from ltq._aio.threads import call_in
from ltq.brokers.sqlite._wake.folder import folder_of, have_sockets
from ltq.brokers.sqlite._wake.receiver import Receiver
from ltq.brokers.sqlite._wake.sender import Sender
from ltq.logger import printable

logger = logging.getLogger("ltq.broker")

HEAL_EVERY = 1.0
"""Seconds between looks whether others still find the sockets, which anybody may remove."""


class Wakes:
    """The hints of one database file, for all event loops of this process.

    When another process tells of a topic that somebody here waits for, `look` is called, in one of
    the event loops that wait for it. A hint may be lost, and who changes the file without LTQ sends
    none: so the thread of the file looks from time to time as well, while somebody waits. Who
    listens in this process is told by that thread, and gets no hint.
    """

    def __init__(self, path: Path, look: Callable[[], object]) -> None:
        self._path = folder_of(path) if have_sockets() else None
        self._look = look
        self._receivers: dict[asyncio.AbstractEventLoop, Receiver] = {}
        self._sender = Sender(path)
        self._heal_at = 0.0
        self._has_warned = False

    @property
    def are_got(self) -> bool:
        """Whether hints reach all event loops that wait for one. From any thread."""
        return all(receiver.is_reached for receiver in list(self._receivers.values()))

    def enter(self) -> Receiver:
        """The receiver of the running event loop, until `leave`."""
        self._drop_closed()
        loop = asyncio.get_running_loop()
        receiver = self._receivers.get(loop)
        if receiver is None:
            receiver = self._receivers[loop] = Receiver(self._path, self._look, self._warn)
        receiver.users += 1
        return receiver

    def leave(self, receiver: Receiver) -> None:
        """Undo `enter`, in its event loop or after that was closed."""
        receiver.users -= 1
        if not receiver.users:
            if self._receivers.get(receiver.loop) is receiver:
                del self._receivers[receiver.loop]
            receiver.close()

    def tell(self, topics: Collection[str]) -> None:
        """Let other processes look: call this after each commit, from any thread.

        Never raises, and waits for nobody.
        """
        self._drop_closed()
        own = {receiver.name for receiver in list(self._receivers.values())}
        self._sender.tell(topics, own)

    def heal(self) -> None:
        """Make the sockets that others do not find any more: call this again and again."""
        now = time.monotonic()
        if now >= self._heal_at:
            self._heal_at = now + HEAL_EVERY
            for receiver in list(self._receivers.values()):
                call_in(receiver.loop, receiver.heal)

    def close(self) -> None:
        """Close all that is open. From any thread."""
        while self._receivers:
            _, receiver = self._receivers.popitem()
            receiver.close()
        self._sender.hang_up()

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "no socket in %s, so changes by other processes are noticed by polling: %s",
                printable(str(self._path)),
                printable(str(error)) or type(error).__name__,
            )

    def _drop_closed(self) -> None:
        """Close what belongs to event loops that were closed before their brokers."""
        for loop, receiver in list(self._receivers.items()):
            if loop.is_closed() and self._receivers.pop(loop, None) is not None:
                receiver.close()
