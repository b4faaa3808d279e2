"""A call on its way to the thread of a file, and its answer on the way back."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from ltq._aio.threads import call_in
from ltq.brokers.sqlite._places.store import SqliteStore

T = TypeVar("T")


class Job(Generic[T]):
    """A step that waits for its turn, and the future of its answer.

    That is for the running event loop; from another thread, one is given.
    """

    __slots__ = (
        "_answers",
        "_step",
        "error",
        "future",
        "is_durable",
        "keeps_history",
        "loop",
    )

    def __init__(
        self,
        step: Callable[[SqliteStore], T],
        *,
        keeps_history: bool,
        is_durable: bool = True,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.keeps_history = keeps_history
        self.is_durable = is_durable
        """Whether its answer waits for the disk, if others do: a claim need not survive a power
        cut, after which its tasks wait again."""
        self.loop: asyncio.AbstractEventLoop = loop or asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.error: Exception | None = None
        self._step = step
        self._answers: tuple[T, ...] = ()

    def run(self, store: SqliteStore) -> None:
        """Run the step, in the thread of the file, unless nobody waits for it any more."""
        self._answers = ()
        if not self.future.cancelled():
            store.keeps_history = self.keeps_history
            self._answers = (self._step(store),)

    def given(self) -> tuple[T, ...]:
        """The answer, if the step has been carried out, whether or not anybody waits for it.

        To be asked in the thread of the file, by a later job.
        """
        return self._answers if self.error is None else ()

    def settle(self) -> None:
        """Give the answer, in the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        for answer in self.given():
            self.future.set_result(answer)


def settle(jobs: Iterable[Job[Any]]) -> None:
    """Give all answers, each in its event loop. From any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, own in by_loop.items():
        call_in(loop, _settle, own)


def _settle(jobs: Iterable[Job[Any]]) -> None:
    for job in jobs:
        job.settle()
