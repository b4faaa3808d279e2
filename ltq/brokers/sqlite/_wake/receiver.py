"""What one event loop waits for, and the socket where other processes send their hints."""

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress

from ltq.brokers.sqlite._wake.forked import forget_in_child
from ltq.brokers.sqlite._wake.interest import Interest
from ltq.brokers.sqlite._wake.mailbox import Mailbox


class Receiver:
    """Calls `look` in its event loop when another process tells of a topic that was added.

    `path` is the directory of sockets, None if there can be none. `warn` gets the error if no
    socket can be made there.
    """

    def __init__(
        self,
        path: str | None,
        look: Callable[[], object],
        warn: Callable[[Exception], object],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.users: int = 0
        """How often it was entered, and not left."""
        self._path = path
        self._look = look
        self._warn = warn
        self._interest = Interest()
        self._mailbox: Mailbox | None = None
        self._is_closed = False
        forget_in_child(self)

    @property
    def name(self) -> str:
        """What senders know it by; empty if they cannot reach it."""
        mailbox = self._mailbox
        return "" if mailbox is None else mailbox.name

    @property
    def is_reached(self) -> bool:
        """Whether hints reach it, or it needs none."""
        return self._mailbox is not None or not self._interest.bits

    def add(self, topic: str) -> None:
        """Wait for a topic, from now on. To be discarded as often as it was added."""
        is_first = not self._interest.bits
        if not self._interest.add(topic):
            return
        if self._mailbox is None and is_first:
            self._open()
        self._show()

    def discard(self, topic: str) -> None:
        """Undo `add`."""
        if self._interest.discard(topic):
            self._show()

    def heal(self) -> None:
        """Make the socket again if others do not find it, or if it could not be made before."""
        if self._mailbox is not None and not self._mailbox.is_found():
            self._drop_mailbox()
        if self._mailbox is None and self._interest.bits:
            self._open()

    def close(self) -> None:
        """Close it, from any thread."""
        self._is_closed = True
        self._drop_mailbox()

    def forget(self) -> None:
        """See `Forgetful`."""
        self.close()

    def _open(self) -> None:
        if self._path is None or self._is_closed:
            return
        try:
            mailbox = Mailbox.opened(self._path, self._interest.bits)
            self._close_mailbox = weakref.finalize(self, mailbox.close)  # also when Python ends
            self._mailbox = mailbox
            mailbox.read_with(self._read)
        except FileNotFoundError:  # the folder is not there: who opens the file says so
            self._drop_mailbox()
        except (OSError, NotImplementedError) as error:
            self._drop_mailbox()
            self._warn(error)

    def _show(self) -> None:
        if self._mailbox is not None:
            with suppress(OSError):  # of the disk
                self._mailbox.show(self._interest.bits)

    def _drop_mailbox(self) -> None:
        if self._mailbox is not None:
            self._mailbox = None
            self._close_mailbox()

    def _read(self) -> None:
        if self._mailbox is not None and self._mailbox.take():
            self._look()
