"""A task that was sent: its state, its result, and how it gets there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar, cast, overload

from typing_extensions import TypeVar as DefaultTypeVar

from ltq.broker import BrokerSource
from ltq.errors import (
    ResultTimeoutError,
    TaskCancelledError,
    TaskError,
    TaskFailedError,
    TaskRejectedError,
)
from ltq.state import Status, TaskState

R_co = DefaultTypeVar("R_co", covariant=True, default=Any)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
R = TypeVar("R")

_ERRORS: dict[Status, type[TaskError]] = {
    Status.FAILED: TaskFailedError,
    Status.REJECTED: TaskRejectedError,
    Status.CANCELLED: TaskCancelledError,
}


class Handle(Generic[R_co]):
    """A task that was sent, in this process or another. `str(handle)` is its id.

    All handles of a broker share one connection for waiting, however many there are.
    """

    __slots__ = ("_decode", "_final", "_result_ttl", "_source", "id", "queue", "task_name")

    def __init__(
        self,
        source: BrokerSource,
        task_id: str,
        *,
        task_name: str,
        queue: str,
        decode: Callable[[bytes], Any],
        result_ttl: float,
    ) -> None:
        self._final: TaskState[R_co] | None = None
        self._source = source
        self._decode = decode
        self._result_ttl = result_ttl
        self.id = task_id
        self.task_name = task_name
        self.queue = queue

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Handle of {self.task_name} {self.id}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return NotImplemented
        return (self.id, self.queue) == (other.id, other.queue)

    def __hash__(self) -> int:
        return hash((self.id, self.queue))

    async def state(self) -> TaskState[R_co]:
        """The present state. Raises `TaskNotFoundError`, `BrokerError`."""
        return self._typed(await self._source.broker.state(self.queue, self.id))

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait for the end and return what the task returned, rebuilt from its annotation.

        Raises `TaskFailedError`, `TaskRejectedError` or `TaskCancelledError` when it ended
        otherwise, `ResultTimeoutError` after `timeout` seconds (the task goes on),
        `TaskNotFoundError` when there is no such task or its result has expired, `BrokerError`
        when the broker cannot be reached.
        """
        state = await self.wait(timeout)
        error = _ERRORS.get(state.status)
        if error is not None:
            raise error(state)
        return cast(R_co, state.result)

    async def wait(self, timeout: float | None = None) -> TaskState[R_co]:
        """Wait for the end and return the final state, whatever it is.

        A handle that has seen the end remembers it. Raises `ResultTimeoutError`,
        `TaskNotFoundError`, `BrokerError`.
        """
        if self._final is None:
            self._final = await self._wait(timeout)
        return self._final

    async def _wait(self, timeout: float | None) -> TaskState[R_co]:
        if timeout is not None and timeout <= 0:
            state = await self.state()
            if not state.status.is_final:
                raise ResultTimeoutError(self.id, timeout)
            return state
        return self._typed(await self._source.broker.wait(self.queue, self.id, timeout=timeout))

    async def watch(self, timeout: float | None = None) -> AsyncIterator[TaskState[R_co]]:
        """Follow the task live: its present state first, each change seen, the final state last.

        A passing state may be missed when changes are quick, the final one never. Raises
        `ResultTimeoutError`, `TaskNotFoundError`, `BrokerError`.
        """
        watched = self._source.broker.watch(self.queue, self.id, timeout=timeout)
        try:
            async for encoded in watched:
                yield self._typed(encoded)
        finally:
            await watched.aclose()

    async def cancel(self) -> bool:
        """Cancel the task, wherever it is; False if it was final already.

        A queued task never starts; a running coroutine gets `asyncio.CancelledError`. Raises
        `TaskNotFoundError`, `BrokerError`.
        """
        return await self._source.broker.cancel(self.queue, self.id, self._result_ttl)

    def _typed(self, encoded: TaskState[bytes]) -> TaskState[R_co]:
        result = encoded.result
        typed = encoded if result is None else replace(encoded, result=self._decode(result))
        return cast(TaskState[R_co], typed)


@overload
async def gather(h1: Handle[A], /) -> tuple[A]: ...
@overload
async def gather(h1: Handle[A], h2: Handle[B], /) -> tuple[A, B]: ...
@overload
async def gather(h1: Handle[A], h2: Handle[B], h3: Handle[C], /) -> tuple[A, B, C]: ...
@overload
async def gather(
    h1: Handle[A], h2: Handle[B], h3: Handle[C], h4: Handle[D], /
) -> tuple[A, B, C, D]: ...
@overload
async def gather(
    h1: Handle[A], h2: Handle[B], h3: Handle[C], h4: Handle[D], h5: Handle[E], /
) -> tuple[A, B, C, D, E]: ...
@overload
async def gather(*handles: Handle[R]) -> tuple[R, ...]: ...
@overload
async def gather(
    *handles: Handle[R], return_exceptions: Literal[True]
) -> tuple[R | BaseException, ...]: ...
@overload
async def gather(*handles: Handle[R], return_exceptions: bool) -> tuple[R | BaseException, ...]: ...
async def gather(*handles: Handle[Any], return_exceptions: bool = False) -> tuple[Any, ...]:
    """Wait for all and return their results, in the order given.

    The first task that does not complete raises its error; the other tasks go on. With
    `return_exceptions=True` errors stand in the tuple instead.
    """
    waits = [asyncio.ensure_future(handle.result()) for handle in handles]
    try:
        return tuple(await asyncio.gather(*waits, return_exceptions=return_exceptions))
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


class as_completed(Generic[R]):  # noqa: N801  named like asyncio's
    """The handles in the order in which their tasks end.

        async for handle in ltq.as_completed(handles):
            print(await handle.result())

    A plain `for` gives awaitables of the results instead, as `asyncio.as_completed` does.
    """

    def __init__(self, handles: Iterable[Handle[R]]) -> None:
        self._handles = list(handles)

    async def __aiter__(self) -> AsyncIterator[Handle[R]]:
        """Yield each handle once its task is final."""
        waits = {asyncio.create_task(handle.wait()): handle for handle in self._handles}
        ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        for wait in waits:
            wait.add_done_callback(ended.put_nowait)
        try:
            for _ in waits:
                wait = await ended.get()
                wait.exception()  # `handle.result()` raises it again
                yield waits[wait]
        finally:
            for wait in waits:
                wait.cancel()

    def __iter__(self) -> Iterator[Awaitable[R]]:
        """Yield an awaitable for each: the first awaited gives the first result there is."""
        return iter(asyncio.as_completed([_result(handle) for handle in self._handles]))


def _result(handle: Handle[R]) -> Coroutine[Any, Any, R]:
    return handle.result()
