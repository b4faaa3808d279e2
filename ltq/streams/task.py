"""A task that yields items."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Generic, cast

from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq.names import check_id
from ltq.options import SendOptions
from ltq.streams.handle import StreamHandle
from ltq.streams.sync import SyncStreamHandle
from ltq.task import Task

P = ParamSpec("P", default=...)
T = TypeVar("T", default=Any)

_END = object()


class StreamTask(Task[P, int], Generic[P, T]):
    """A task whose function is a generator: made by `@worker.task(...)`.

    Its items are sent on while it runs, its result is how many they were. An `async def` runs in
    the event loop, a plain `def` in a thread. Calling it runs all of it in this process;
    `items(...)` gives what it yields there.
    """

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Run the function in this process to its end; return how many items it yielded."""
        count = 0
        async for _ in self.items(*args, **kwargs):
            count += 1
        return count

    async def items(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Run the function in this process, and yield its items. A plain `def` runs in a thread."""
        given: Any = self.fn(*args, **kwargs)
        if self.is_async:
            try:
                async for item in cast(AsyncIterator[T], given):
                    yield item
            finally:
                await given.aclose()
            return
        try:
            step: Callable[[], Any] = partial(next, given, _END)
            while (item := await asyncio.to_thread(step)) is not _END:
                yield item
        finally:
            await asyncio.to_thread(given.close)

    async def send(self, /, *args: P.args, **kwargs: P.kwargs) -> StreamHandle[T]:
        """Let a worker run the task with these arguments. Raises what `Task.send` raises."""
        return self.handle((await super().send(*args, **kwargs)).id)

    def send_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> SyncStreamHandle[T]:
        """`send` for code without an event loop. Raises what `Task.send_sync` raises."""
        return self.handle_sync(super().send_sync(*args, **kwargs).id)

    def with_options(self, /, **options: Unpack[SendOptions]) -> "StreamTask[P, T]":
        """The same task, with options for tasks that are sent through it: see `Task`."""
        return cast(StreamTask[P, T], super().with_options(**options))

    def handle(self, id: str) -> StreamHandle[T]:  # noqa: A002  the field's name for it
        """The handle of a task that was sent by any process. The broker is not called yet.

        Raises `ConfigurationError` for what is not a text.
        """
        return StreamHandle(
            self._source,
            check_id(id),
            task_name=self.name,
            queue=self.queue,
            decode=self._codec.decode_result,
            decode_item=self._codec.decode_item,
            result_ttl=self.result_ttl,
            timeout=self.config.timeout,
        )

    def handle_sync(self, id: str) -> SyncStreamHandle[T]:  # noqa: A002  the field's name for it
        """`handle` for code without an event loop."""
        return SyncStreamHandle(self._source, self.handle(id))
