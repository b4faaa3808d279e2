"""What an event loop waits for, as bits: senders read them, and leave out whom it does not concern.

Each topic has one bit, and some topics share theirs. So a bit that is set means "perhaps".
"""

from binascii import crc32
from collections import Counter

SIZE = 128
"""Bytes of the bits."""

ALL: int = (1 << 8 * SIZE) - 1


def bit_of(topic: str) -> int:
    """The bit of a topic, the same in all processes."""
    return 1 << crc32(topic.encode("utf-8", "surrogatepass")) % (8 * SIZE)


class Interest:
    """The bits of all topics that somebody waits for."""

    def __init__(self) -> None:
        self.bits = 0
        self._counts: Counter[int] = Counter()
        """How often topics of each bit were added."""

    def add(self, topic: str) -> bool:
        """Add a topic; return whether the bits changed."""
        bit = bit_of(topic)
        self._counts[bit] += 1
        if self.bits & bit:
            return False
        self.bits |= bit
        return True

    def discard(self, topic: str) -> bool:
        """Undo one `add` of a topic; return whether the bits changed."""
        bit = bit_of(topic)
        self._counts[bit] -= 1
        if self._counts[bit]:
            return False
        del self._counts[bit]
        self.bits ^= bit
        return True
