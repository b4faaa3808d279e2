"""Group commit: items that arrive during one call share the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ltq._aio.service import Service

logger = logging.getLogger("ltq")

T = TypeVar("T")
R = TypeVar("R")

_Item = tuple[T, "asyncio.Future[R] | None"]
"""An item, and the future of its answer; None if nobody waits for that."""


class Batcher(Service, Generic[T, R]):
    """Joins single items into calls of `flush`, one call at a time, in one event loop.

    It starts with the first item. Items that arrive during a call share the next one, at most
    `limit` at a time. Each item of a call that fails gets its error; if `is_lasting(error)`, so do
    the items that wait, since they would fail in the same way. `drain` waits until every
    submitted item has its answer; `aclose` cancels those that have none.
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
        self._items: list[_Item[T, R]] = []
        """The items that wait for the next call."""
        self._called = 0
        """How many items are in the present call."""
        self._batch: list[_Item[T, R]] = []
        """The items of the present call, if it was not made by `call`."""
        self._dropped: list[T] = []
        """Items without an answer because the event loop was about to end."""

    @property
    def pending(self) -> int:
        """How many items have no answer yet."""
        return len(self._items) + self._called

    async def call(self, item: T) -> R:
        """Add an item and wait for its answer."""
        if self._items or self._called or self.is_running:
            return await self.submit(item)
        # Nothing is in progress: call `flush` right here, which spares a task and a turn of the
        # event loop. Items that arrive meanwhile wait, as during any other call.
        self._called = 1
        try:
            answers = await self._flush([item])
        except Exception as error:
            if self._is_lasting(error):
                _fail(self._take_waiting(), error)
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
        if not self._called and len(self._items) == 1:  # see `add`
            self.start()
        return future

    def add(self, item: T) -> None:
        """Add an item whose answer nobody waits for."""
        self._items.append((item, None))
        if not self._called and len(self._items) == 1:  # otherwise it is running already
            self.start()

    def unanswered(self) -> list[T]:
        """The items that have no answer yet. From any thread."""
        items = [*self._batch, *self._items]
        return [item for item, future in items if future is None or not future.done()]

    def take_cut(self) -> list[T]:
        """The items that lost their call because all asyncio tasks were cancelled. Tells once."""
        if not self.is_running:  # it was cancelled before it had begun
            self._cut(self._take_waiting())
        items, self._dropped = self._dropped, []
        return items

    def stop(self) -> None:
        """Do nothing: it runs only while there are items to flush."""

    async def aclose(self) -> None:
        """Cancel the call in progress, and all items without an answer."""
        await super().aclose()
        _cancel(self._take_waiting())

    def abandon(self) -> None:
        """See `Service.abandon`."""
        super().abandon()
        self._items.clear()

    async def _run(self) -> None:
        try:
            while self._items:
                batch = self._items[: self._limit]
                del self._items[: self._limit]
                self._called, self._batch = len(batch), batch
                await self._flush_batch(batch)
        finally:
            self._called, self._batch = 0, []
            self._cut(self._take_waiting())  # there are some only if the loop is closing

    async def _flush_batch(self, batch: "list[_Item[T, R]]") -> None:
        """Call `flush` once, and give each item its answer, or the error of the call."""
        try:
            answers = await self._flush([item for item, _ in batch])
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers to {len(batch)} items")
        except Exception as error:
            _fail(batch, error)
            if self._is_lasting(error):
                _fail(self._take_waiting(), error)
        except BaseException:
            self._cut(batch)
            raise
        else:
            _answer(batch, answers)

    def _cut(self, batch: "list[_Item[T, R]]") -> None:
        self._dropped += [item for item, _ in batch]
        _cancel(batch)

    def _take_waiting(self) -> "list[_Item[T, R]]":
        items, self._items = self._items, []
        return items


def _answer(batch: "list[_Item[T, R]]", answers: Sequence[R]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if future is not None and not future.done():
            future.set_result(answer)


def _fail(batch: "list[_Item[T, R]]", error: Exception) -> None:
    for _, future in batch:
        if future is not None and not future.done():
            future.set_exception(error)


def _cancel(batch: "list[_Item[T, R]]") -> None:
    for _, future in batch:
        if future is not None:
            future.cancel()
