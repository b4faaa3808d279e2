"""How large replies may be: less after one that did not arrive."""

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.errors import BrokerError

SHRINK = 4
"""A reply that did not arrive is asked for again with this part of its bytes."""

_SMALLEST = 4096


class ReplyLimit:
    """Bytes of payload that the replies of one link may hold; a single task may have more."""

    def __init__(self) -> None:
        self.bytes = CALL_BYTES

    def arrived(self) -> None:
        """A reply has arrived: the next one may be larger."""
        if self.bytes < CALL_BYTES:
            self.bytes = min(CALL_BYTES, 2 * self.bytes)

    def failed(self, error: BrokerError) -> None:
        """A reply has not arrived in time: the next one is to be smaller."""
        if not error.is_refusal:
            self.bytes = max(_SMALLEST, self.bytes // SHRINK)
