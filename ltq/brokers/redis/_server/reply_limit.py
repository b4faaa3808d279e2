"""How large replies may be: less after one that did not arrive."""

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.errors import BrokerError

SHRINK = 4
"""A reply that did not arrive is asked for again with this part of its bytes."""

_SMALLEST = 4096

_AFTER_CLOSING = 8
"""How many replies have to arrive until they may be larger, after the server closed a connection:
its buffers may be small for good."""


class ReplyLimit:
    """Bytes of payload that the replies of one link may hold; a single task may have more."""

    def __init__(self) -> None:
        self.bytes = CALL_BYTES
        self._arrived = 0
        self._needed = 1

    def arrived(self) -> None:
        """A reply has arrived: the next one may be larger, or one after that."""
        if self.bytes == CALL_BYTES:
            return
        self._arrived += 1
        if self._arrived >= self._needed:
            self._arrived = 0
            self.bytes = min(CALL_BYTES, 2 * self.bytes)
            self._needed = 1 if self.bytes == CALL_BYTES else self._needed

    def closed(self) -> None:
        """The server closed a connection instead of a reply: the next ones are to be smaller."""
        self._needed = _AFTER_CLOSING
        self._shrink()

    def failed(self, error: BrokerError) -> None:
        """A reply has not arrived in time: the next one is to be smaller."""
        if not error.is_refusal:
            self._shrink()

    def _shrink(self) -> None:
        self._arrived = 0
        self.bytes = max(_SMALLEST, self.bytes // SHRINK)
