"""Where random walks with workflows take place: a broker, and a way to let time pass there."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope, Published
from ltq.testing import FlakyBroker
from tests.elapse import elapse

_names = itertools.count()


class Ground:
    """A broker on real time: final states do not expire within a test."""

    is_clocked = False

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.loop = asyncio.new_event_loop()
        number = next(_names)
        self.near, self.far = f"near{number}", f"far{number}"
        """The names of two workers: their namespaces may be on different servers."""

    def wait(self, seconds: float) -> None:
        """Let some milliseconds go by."""
        self.loop.run_until_complete(elapse(seconds, "a lease ends"))

    def close(self) -> None:
        """Close all."""
        self.loop.run_until_complete(self.broker.aclose())
        self.loop.close()


class Clocked(Ground):
    """A broker whose clock stands still unless it is told to move."""

    is_clocked = True

    def __init__(self, make: Callable[[Callable[[], float]], Broker]) -> None:
        self._now = 1_000_000.0
        super().__init__(make(lambda: self._now))

    def wait(self, seconds: float) -> None:
        self._now += seconds


def in_memory() -> Ground:
    """A memory broker."""
    return Clocked(
        lambda clock: MemoryBroker(f"memory://flows{next(_names)}?history=0", clock=clock)
    )


def in_file(folder: Path) -> Ground:
    """A SQLite broker."""
    path = folder / f"flows{next(_names)}.db"
    return Clocked(
        lambda clock: SqliteBroker(f"sqlite:///{path}?sync=normal&history=0", clock=clock)
    )


class CrashError(Exception):
    """The process that made a call is gone."""


class Halting(FlakyBroker):
    """A broker whose sender ends at one of its next sends: before it, or after it was made."""

    def __init__(self, broker: Broker, sends: int, *, is_made: bool) -> None:
        super().__init__(broker)
        self._left = sends
        self._is_made = is_made

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        self._left -= 1
        if self._left < 0 and not self._is_made:
            raise CrashError
        answers = await super().publish(envelopes)
        if self._left < 0:
            raise CrashError
        return answers


class Crashing:
    """A broker whose caller ends at one of its next calls: before it, or after it was made."""

    def __init__(self, broker: Broker, calls: int, *, is_made: bool) -> None:
        self._broker = broker
        self._left = calls
        self._is_made = is_made

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._broker, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0 and not self._is_made:
                raise CrashError
            answer = await method(*args, **kwargs)
            if self._left < 0:
                raise CrashError
            return answer

        return call
