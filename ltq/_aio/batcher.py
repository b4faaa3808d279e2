"""Group commit: what comes while a call is under way goes out together in the next one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ltq._aio.service import Service

logger = logging.getLogger("ltq")

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Service, Generic[T, R]):
    """Joins single items into calls of `flush`, one call at a time, in one event loop.

    It starts with the first item. What comes while a call is under way shares the next one. An
    error of a call is given to each item of it, and where it `is_lasting` to all that wait as
    well; the next call starts afresh. `drain` waits until every item has its answer; `aclose`
    cancels those that have none.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[Sequence[R]]],
        limit: int,
        is_lasting: Callable[[Exception], bool] = lambda _: False,
        *,
        name: str = "ltq-batcher",
    ) -> None:
        super().__init__(name, logger)
        self._flush = flush
        self._is_lasting = is_lasting
        self._limit = limit
        self._items: list[tuple[T, asyncio.Future[R]]] = []
        self._called = 0

    @property
    def pending(self) -> int:
        """How many items have no answer yet."""
        return len(self._items) + self._called

    async def call(self, item: T) -> R:
        """Add an item and wait for its answer; where nothing is under way, in a call of its own.

        That spares a lonely caller a turn of the loop and a task.
        """
        if self._items or self._called or self.is_running:
            return await self.submit(item)
        self._called = 1
        try:
            answers = await self._flush([item])
        except Exception as error:
            if self._is_lasting(error):
                waiting, self._items = self._items, []
                _fail(waiting, error)
            raise
        finally:
            self._called = 0
            if self._items:
                self.start()
        return answers[0]

    def submit(self, item: T) -> asyncio.Future[R]:
        """Add an item; the future gets its answer."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._items.append((item, future))
        if len(self._items) == 1 and not self._called:  # else it runs already
            self.start()
        return future

    def stop(self) -> None:
        """Do nothing: what was submitted is still flushed, and nothing else runs."""

    async def aclose(self) -> None:
        """Cancel the call under way, and all items without an answer."""
        await super().aclose()
        self._cancel_items()

    async def _run(self) -> None:
        try:
            while self._items:
                batch = self._items[: self._limit]
                del self._items[: self._limit]
                self._called = len(batch)
                await self._call(batch)
        finally:
            self._called = 0
            self._cancel_items()  # there are some only when it is cancelled: the loop is closing

    async def _call(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._flush([item for item, _ in batch])
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers to {len(batch)} items")
        except BaseException as error:
            if isinstance(error, Exception) and self._is_lasting(error):
                batch, self._items = batch + self._items, []
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _cancel_items(self) -> None:
        items, self._items = self._items, []
        for _, future in items:
            future.cancel()


def _fail(batch: list[tuple[T, asyncio.Future[R]]], error: BaseException) -> None:
    for _, future in batch:
        if not isinstance(error, Exception):
            future.cancel()
        elif not future.done():
            future.set_exception(error)
