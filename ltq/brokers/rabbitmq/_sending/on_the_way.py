"""The sends of one event loop that have not ended."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ltq.message import Envelope


class OnTheWay:
    """Tells a consumer here that a copy belongs to a send that still goes on.

    That one writes it into the store itself. If the copy were quicker, its task might run before
    the send has returned, and the store would be asked twice.
    """

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Event] = {}
        """By the fingerprint of a send, what is set at its end."""

    @contextmanager
    def sending(self, envelopes: Sequence[Envelope]) -> Iterator[None]:
        """These are on the way until the end of the context."""
        end = asyncio.Event()
        marks = [envelope.fingerprint for envelope in envelopes]
        self._ends.update(dict.fromkeys(marks, end))
        try:
            yield
        finally:
            for mark in marks:
                self._ends.pop(mark, None)
            end.set()

    async def wait(self, envelopes: Iterable[Envelope]) -> None:
        """Wait until none of these is on the way."""
        for envelope in envelopes:
            end = self._ends.get(envelope.fingerprint)
            if end is not None:
                await end.wait()
