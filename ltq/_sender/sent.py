"""What the broker did with messages, told to the middleware that saw them before."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from ltq.errors import ConfigurationError, QueueFullError
from ltq.message import Envelope, Published

logger = logging.getLogger("ltq.task")

SentCallback = Callable[[bool | None], object]
"""Called with whether a message was enqueued; None if the broker did not answer."""

_TRIED_AGAIN = frozenset((Published.FULL, Published.DUPLICATE))


class Sent:
    """The callbacks of messages that are being sent. Each is called once."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Envelope, list[SentCallback]]] = {}
        """By the identity of the envelope: others may have the same id."""

    def add(self, envelope: Envelope, callbacks: list[SentCallback]) -> None:
        """Note who wants to know of an envelope."""
        self._waiting[id(envelope)] = envelope, callbacks

    def join(self, other: "Sent") -> None:
        """Note all that another one has."""
        self._waiting |= other._waiting  # noqa: SLF001  one of its own class

    def replace(self, envelope: Envelope, other: Envelope) -> None:
        """Another envelope is sent in place of one."""
        _, callbacks = self._waiting.pop(id(envelope), (None, []))
        if callbacks:
            self.add(other, callbacks)

    def answered(self, envelopes: Sequence[Envelope], answers: Sequence[Published]) -> None:
        """Tell what the broker answered. What may be tried again is still waiting."""
        if self._waiting:
            for envelope, answer in zip(envelopes, answers, strict=True):
                if answer not in _TRIED_AGAIN:
                    self._tell(id(envelope), answer is Published.CREATED)

    def end(self, enqueued: bool | None) -> None:
        """Tell the same of all that still wait."""
        for key in list(self._waiting):
            self._tell(key, enqueued)

    def fail(self, error: BaseException) -> None:
        """The send ended with an error: tell all that still wait, unless the broker may have them.

        They were not enqueued if the send was refused; otherwise nobody knows.
        """
        is_refused = isinstance(error, QueueFullError | ConfigurationError)
        self.end(False if is_refused else None)

    def _tell(self, key: int, enqueued: bool | None) -> None:
        envelope, callbacks = self._waiting.pop(key, (None, []))
        for callback in callbacks:
            try:
                callback(enqueued)
            except BaseException:  # whatever it is, the message was sent
                with suppress(BaseException):  # users' log handlers
                    logger.exception("%s: %r failed", envelope and envelope.id, callback)
