"""Waiting for many tasks at once, over one connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, Literal, TypeVar, overload

from ltq._aio.loops import running_loop
from ltq._aio.service import cancel_all, drop_error
from ltq.errors import InvalidArgumentsError, ResultTimeoutError
from ltq.handle import Handle
from ltq.options import check_wait

__all__ = ["CompletedHandles", "as_completed", "gather"]
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
R = TypeVar("R")


@overload
async def gather(h1: Handle[A], /, *, timeout: float | None = None) -> tuple[A]: ...
@overload
async def gather(
    h1: Handle[A], h2: Handle[B], /, *, timeout: float | None = None
) -> tuple[A, B]: ...
@overload
async def gather(
    h1: Handle[A], h2: Handle[B], h3: Handle[C], /, *, timeout: float | None = None
) -> tuple[A, B, C]: ...
@overload
async def gather(
    h1: Handle[A], h2: Handle[B], h3: Handle[C], h4: Handle[D], /, *, timeout: float | None = None
) -> tuple[A, B, C, D]: ...
@overload
async def gather(
    h1: Handle[A],
    h2: Handle[B],
    h3: Handle[C],
    h4: Handle[D],
    h5: Handle[E],
    /,
    *,
    timeout: float | None = None,
) -> tuple[A, B, C, D, E]: ...
@overload
async def gather(*handles: Handle[R], timeout: float | None = None) -> tuple[R, ...]: ...
@overload
async def gather(
    h1: Handle[A], /, *, return_exceptions: Literal[True], timeout: float | None = None
) -> tuple[A | BaseException]: ...
@overload
async def gather(
    h1: Handle[A],
    h2: Handle[B],
    /,
    *,
    return_exceptions: Literal[True],
    timeout: float | None = None,
) -> tuple[A | BaseException, B | BaseException]: ...
@overload
async def gather(
    h1: Handle[A],
    h2: Handle[B],
    h3: Handle[C],
    /,
    *,
    return_exceptions: Literal[True],
    timeout: float | None = None,
) -> tuple[A | BaseException, B | BaseException, C | BaseException]: ...
@overload
async def gather(
    h1: Handle[A],
    h2: Handle[B],
    h3: Handle[C],
    h4: Handle[D],
    /,
    *,
    return_exceptions: Literal[True],
    timeout: float | None = None,
) -> tuple[A | BaseException, B | BaseException, C | BaseException, D | BaseException]: ...
@overload
async def gather(
    h1: Handle[A],
    h2: Handle[B],
    h3: Handle[C],
    h4: Handle[D],
    h5: Handle[E],
    /,
    *,
    return_exceptions: Literal[True],
    timeout: float | None = None,
) -> tuple[
    A | BaseException, B | BaseException, C | BaseException, D | BaseException, E | BaseException
]: ...
@overload
async def gather(
    *handles: Handle[R], return_exceptions: bool, timeout: float | None = None
) -> tuple[R | BaseException, ...]: ...
async def gather(
    *handles: Handle[Any], return_exceptions: bool = False, timeout: float | None = None
) -> tuple[Any, ...]:
    """Wait for all tasks and return their results, in the order of the handles.

    The first task that does not complete raises its error; after `timeout` seconds, a task that
    has not ended raises `ResultTimeoutError`. The tasks themselves go on. With
    `return_exceptions=True` errors are in the tuple instead. Raises what `handle.result` raises,
    and `InvalidArgumentsError` for an argument that is not a handle.
    """
    check_handles("gather(*handles)", handles)
    check_wait(timeout)
    running_loop()
    waits = [asyncio.ensure_future(handle.result(timeout)) for handle in handles]
    try:
        return tuple(await asyncio.gather(*waits, return_exceptions=return_exceptions))
    finally:
        await cancel_all(waits)


def as_completed(
    handles: Iterable[Handle[R]], *, timeout: float | None = None
) -> "CompletedHandles[R]":
    """The handles in the order in which their tasks end.

        async for handle in ltq.as_completed(handles, timeout=60):
            print(await handle.result())

    A plain `for` yields awaitables of the results instead, as `asyncio.as_completed` does. If a
    task has not ended after `timeout` seconds, the iteration raises `ResultTimeoutError`. Raises
    `InvalidArgumentsError` at once for an argument that is not a handle.
    """
    return CompletedHandles(handles, timeout)


class CompletedHandles(Generic[R]):
    """What `as_completed` returns: yields handles in an `async for`, awaitables in a `for`."""

    def __init__(self, handles: Iterable[Handle[R]], timeout: float | None) -> None:
        self._handles = check_handles("as_completed(handles)", handles)
        check_wait(timeout)
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[Handle[R]]:
        """Yield each handle once its task is final."""
        running_loop()
        waits = {asyncio.create_task(one.wait(self._timeout)): one for one in self._handles}
        ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        for wait in waits:
            wait.add_done_callback(ended.put_nowait)
        try:
            for _ in waits:
                wait = await ended.get()
                error = wait.exception()
                if isinstance(error, ResultTimeoutError):
                    raise error
                yield waits[wait]  # `handle.result()` raises any other error
        finally:
            await cancel_all(waits)

    def __iter__(self) -> Iterator[Awaitable[R]]:
        """Yield an awaitable for each handle: the first one awaited returns the first result."""
        loop = running_loop()
        results = _NextResults(loop, (one.result(self._timeout) for one in self._handles))
        for _ in self._handles:
            yield results.next()


class _NextResults(Generic[R]):
    """Results in the order in which they arrive. Waiting ends when the object is collected."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, results: Iterable[Coroutine[Any, Any, R]]
    ) -> None:
        self._loop = loop
        self._ended: asyncio.Queue[asyncio.Task[R]] = asyncio.Queue()
        self._waits = [loop.create_task(result) for result in results]
        for wait in self._waits:
            wait.add_done_callback(self._ended.put_nowait)
            wait.add_done_callback(drop_error)  # `next` may not be called as often

    async def next(self) -> R:
        """The next result. Raises the error of a task that did not complete."""
        return (await self._ended.get()).result()

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nothing waits
            self._loop.call_soon_threadsafe(_cancel, self._waits)


def check_handles(usage: str, handles: Iterable[Handle[R]]) -> list[Handle[R]]:
    """Return them as a list. Raises `InvalidArgumentsError` unless all are handles."""
    given: object = handles
    if not isinstance(given, Iterable):
        raise InvalidArgumentsError(f"{usage} takes handles, not {type(given).__name__}")
    found = list(handles)
    for one in found:
        _check_handle(usage, one)
    return found


def _check_handle(usage: str, one: object) -> None:
    if not isinstance(one, Handle):
        raise InvalidArgumentsError(f"{usage} takes handles, not {type(one).__name__}")


def _cancel(waits: "Iterable[asyncio.Task[Any]]") -> None:
    for wait in waits:
        wait.cancel()
