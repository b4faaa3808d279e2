"""How many tasks a claim asks for, so that its answer is not too long on its way."""

from collections.abc import Sequence

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.message import Delivery

_MOST_BYTES = 8 * CALL_BYTES
"""Of an answer, as far as the last one tells."""

_SHRINK = 4
"""After an answer that did not come, only this part of the tasks is asked for."""

_MOST_CLAIMED = 1000
"""Tasks; a claim gives no more."""


class ClaimSize:
    """Most tasks of the next claim: fewer where they are large, or the network is slow."""

    def __init__(self) -> None:
        self._most = _MOST_CLAIMED

    def of(self, limit: int) -> int:
        """How many to ask for where this many are wanted."""
        return min(limit, self._most)

    def arrived(self, deliveries: Sequence[Delivery]) -> None:
        """An answer has arrived."""
        size = sum(len(one.body) + len(one.ctx) for one in deliveries)
        if size > _MOST_BYTES:
            self._most = max(1, len(deliveries) * _MOST_BYTES // size)
        elif deliveries and self._most < _MOST_CLAIMED:
            self._most = min(_MOST_CLAIMED, 2 * self._most)

    def failed(self, limit: int) -> None:
        """The answer to a claim of so many has not arrived."""
        self._most = max(1, self.of(limit) // _SHRINK)
