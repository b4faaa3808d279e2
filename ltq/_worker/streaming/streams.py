"""Running the generators of tasks."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from ltq._declared import DeclaredTask
from ltq._worker.streaming.writer import ItemWriter
from ltq.broker import Settler
from ltq.message import DEFAULT_MAX_ITEMS, Lease, Message
from ltq.streams import StreamTask

Encode = Callable[[Any], bytes]

CallInThread = Callable[
    [Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Coroutine[Any, Any, Any]
]
"""Calls a function in a thread: see `ThreadCalls.call`."""


class StreamRuns:
    """Runs tasks that yield items: those of coroutines in the event loop, the others in threads."""

    def __init__(
        self, settler: Settler, in_thread: CallInThread, lost: Callable[[Lease], None]
    ) -> None:
        """`lost` is called with a lease that the broker refuses."""
        self._settler = settler
        self._call_in_thread = in_thread
        self._lost = lost

    async def run(self, task: StreamTask[..., Any], message: Message[Any], lease: Lease) -> int:
        """Run a task's generator to its end, and write its items; return how many they were.

        Raises what the generator raises, once the items before that are written, and `ResultError`
        for an item that does not fit the annotation.
        """
        most = message.options.max_items or task.config.max_items or DEFAULT_MAX_ITEMS
        writer = ItemWriter(self._settler, lease, most, self._lost)
        encode = DeclaredTask.of(task).codec.encode_item
        call = self._in_loop if task.is_async else self._in_thread
        try:
            await call(task.fn, message.args, message.kwargs, encode, writer)
        except asyncio.CancelledError:
            raise
        except BaseException:
            with suppress(Exception):  # the first error counts
                await writer.flush()
            raise
        else:
            await writer.flush()
            return writer.count
        finally:
            writer.stop()

    async def _in_loop(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        encode: Encode,
        writer: ItemWriter,
    ) -> None:
        generator = fn(*args, **kwargs)
        try:
            async for item in generator:
                await writer.add(encode(item))
        finally:
            await generator.aclose()

    async def _in_thread(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        encode: Encode,
        writer: ItemWriter,
    ) -> None:
        def produce() -> None:
            generator = fn(*args, **kwargs)
            try:
                for item in generator:
                    writer.put(encode(item))
            finally:
                generator.close()

        try:
            await self._call_in_thread(produce, (), {})
        except asyncio.CancelledError:
            writer.stop()  # the thread finds out at its next item, and closes its generator
            raise
