"""What a running task sends if its run completes: kept until then."""

import threading
from collections.abc import Sequence

from ltq._sender.sent import Sent
from ltq.broker.flows import pack_follow
from ltq.errors import InvalidArgumentsError
from ltq.message import Envelope, Published

MOST_BYTES = 16 * 1024 * 1024
"""Most bytes of what follows one run: it is written together with the outcome."""

SHORTEST_TTL = 60.0
"""Fewest seconds for which the state of what follows is kept: it is known by that if it is sent
once more, as after a crash."""

_EACH = 300
"""Bytes that an envelope may take beside its arguments and `ctx`."""


class FollowUps:
    """The envelopes that follow a run. It may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._envelopes: list[Envelope] = []
        self._size = 0
        self._is_closed = False
        self._sent = Sent()

    def add(self, envelope: Envelope, sent: Sent) -> bool:
        """Send an envelope if the run completes; `sent` has who wants to know what becomes of it.

        Returns False if the run has ended. Raises `InvalidArgumentsError` if there are too many.
        """
        size = len(envelope.body) + len(envelope.ctx) + _EACH
        with self._lock:
            if self._is_closed:
                return False
            if self._size + size > MOST_BYTES:
                raise InvalidArgumentsError(
                    f"{envelope.task_name}: what follows one run may have {MOST_BYTES} bytes in "
                    f"all, and this would make it {self._size + size}: send it yourself, or let "
                    "one task follow that sends the rest"
                )
            self._envelopes.append(envelope)
            self._size += size
            self._sent.join(sent)
            return True

    def complete(self) -> bytes:
        """The run has completed: what is to be written with its outcome. No more is added."""
        with self._lock:
            self._is_closed = True
        return pack_follow(self._envelopes)

    def answered(self, answers: Sequence[Published]) -> None:
        """The broker has answered to the envelopes, in their order."""
        self._sent.answered(self._envelopes, answers)
        self._sent.end(False)

    def end(self, enqueued: bool | None) -> None:
        """Nothing is sent (False), or nobody knows (None)."""
        with self._lock:
            self._is_closed = True
        self._sent.end(enqueued)
