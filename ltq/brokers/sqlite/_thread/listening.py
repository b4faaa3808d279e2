"""Listening in one event loop to what happens in a file, also in other processes."""

import logging
from collections import Counter
from contextvars import Context

from ltq._aio.loops import running_loop
from ltq._aio.service import Service
from ltq.brokers.sqlite._thread.thread import SqliteThread, no_version
from ltq.brokers.sqlite._wake.wakes import Wakes

logger = logging.getLogger("ltq.broker")


class Listening(Service):
    """What a session listens to. A hint of another process lets the thread look at once."""

    def __init__(self, thread: SqliteThread) -> None:
        super().__init__("ltq-sqlite-listening", logger)
        self._thread = thread
        self._loop = running_loop()
        self._wakes = Wakes(thread.path, no_version)
        self._hints = Context().run(self._wakes.listen)  # not to keep the caller's
        self._topics: Counter[str] = Counter()

    def attend(self, topic: str) -> None:
        """Let the thread look at once when another process tells of a topic. Undo with `leave`."""
        self._topics[topic] += 1
        self._hints.add(topic)
        self.start()

    def leave(self, topic: str) -> None:
        """Undo `attend`, in its event loop or after that was closed."""
        self._topics[topic] -= 1
        if not self._topics[topic]:
            del self._topics[topic]
            if not self._loop.is_closed():
                self._hints.discard(topic)

    async def _run(self) -> None:
        while True:
            await self._hints.wait()
            self._thread.look()

    async def aclose(self) -> None:
        """See `Service.aclose`."""
        await super().aclose()
        self._hints.close()
        await self._wakes.aclose()
