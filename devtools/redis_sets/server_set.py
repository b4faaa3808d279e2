"""What a Sentinel set and a cluster have in common: they start, agree, and end as one."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from devtools.redis_sets.node import Node

AGREE = 45.0
"""For how many seconds the members are waited for until they agree."""

_POLL = 0.05


class DisagreementError(Exception):
    """The members say different things, so there is no answer at this moment."""


class ServerSet(ABC):
    """Servers that belong together. Kill, freeze, thaw and restart each by its own methods."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Node]:
        """All processes, in the order of their start."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, as LTQ is told."""

    @property
    @abstractmethod
    def masters(self) -> Sequence[Node]:
        """Those that answer and take writes now."""

    def empty(self) -> None:
        """Delete all that they hold."""
        for one in self.masters:
            one.ask("FLUSHALL")

    def start(self) -> None:
        """Start all, and wait until they agree."""
        try:
            self._start()
            self.wait_until_agreed()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End all at once, whatever they are doing. There is nothing to be kept."""
        for one in self.members:
            one.kill()

    def wait_until_agreed(self, timeout: float = AGREE) -> None:
        """Until all that answer see the same, and all of it works.

        Raises:
            TimeoutError: They did not in `timeout` seconds; it says about what.
        """
        self._wait(self._disagreement, timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def _start(self) -> None:
        for one in self.members:
            one.start()

    @abstractmethod
    def _disagreement(self) -> str:
        """What is not as it should be; empty if all is."""

    def _wait(self, what_is_wrong: Callable[[], str], timeout: float = AGREE) -> None:
        """Until nothing is wrong any more."""
        until = time.monotonic() + timeout
        while True:
            try:
                wrong = what_is_wrong()
            except (RedisError, DisagreementError) as error:
                wrong = str(error)
            if not wrong:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"after {timeout:g} s: {wrong}")
            time.sleep(_POLL)
