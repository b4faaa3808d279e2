"""Listening to topics: what is told between two waits is not lost."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ltq.brokers.sqlite._wake.hints import Heard
from ltq.brokers.sqlite._wake.receiver import Receiver


class Listener:
    """Hears of changes of its topics, in the event loop that it was made in.

    What is committed after a topic was added is heard: add it first, then look at the database. A
    wait may be cancelled; the next gets what it would have got.
    """

    def __init__(self, receiver: Receiver, topics: Iterable[str]) -> None:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._topics: set[str] = set()
        self._heard: set[str] = set()
        self._is_everything = self._is_closed = False
        self._woken: asyncio.Future[None] | None = None
        """Of the wait that goes on."""
        receiver.open(self)
        for topic in topics:
            self.add(topic)

    def add(self, topic: str) -> None:
        """Hear of a topic as well. Safe to repeat."""
        if topic not in self._topics and not self._is_closed:
            self._topics.add(topic)
            self._receiver.add(topic, self)

    def discard(self, topic: str) -> None:
        """Hear of a topic no more. Safe to repeat."""
        if topic in self._topics:
            self._topics.remove(topic)
            self._heard.discard(topic)
            self._receiver.discard(topic, self)

    async def wait(self, timeout: float | None = None) -> Heard:
        """Wait until something may have changed since the last wait, at most `timeout` seconds.

        Returns at once if it has. The return value is false after the timeout, and after `close`.
        Raises `RuntimeError` if another wait goes on.
        """
        if self._woken is not None:
            raise RuntimeError("somebody waits for this listener already")
        if not (self._heard or self._is_everything or self._is_closed):
            self._woken = self._loop.create_future()
            try:
                with self._receiver.waiting():
                    await asyncio.wait([self._woken], timeout=timeout)
            finally:
                self._woken = None
        heard = Heard(frozenset(self._heard), self._is_everything)
        self._heard.clear()
        self._is_everything = False
        return heard

    def hear(self, heard: Heard) -> None:
        """See `Hearer`."""
        self._heard |= heard.topics
        self._is_everything |= heard.everything
        self._wake()

    def close(self) -> None:
        """Listen no more, and end the wait that goes on. Safe to repeat."""
        if self._is_closed:
            return
        self._is_closed = True
        self._receiver.close(self)
        for topic in tuple(self._topics):
            self.discard(topic)
        self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
