"""A task that was sent: its state and its result."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Generic, Protocol, cast

from typing_extensions import TypeVar

from ltq._display.html import describe, row, table
from ltq.broker import Broker, BrokerSource
from ltq.errors import (
    ResultTimeoutError,
    TaskCancelledError,
    TaskError,
    TaskFailedError,
    TaskNotFoundError,
    TaskRejectedError,
)
from ltq.names import is_name
from ltq.options import check_wait
from ltq.state import Status, TaskState

R_co = TypeVar("R_co", covariant=True, default=Any)

_ERRORS: dict[Status, type[TaskError]] = {
    Status.FAILED: TaskFailedError,
    Status.REJECTED: TaskRejectedError,
    Status.CANCELLED: TaskCancelledError,
}

_FOR_EVER = frozenset((Status.COMPLETED, Status.CANCELLED))
"""What a task stays once it is so. Other ends are undone by a replay."""


def error_of(state: TaskState[Any]) -> TaskError | None:
    """What waiting for the result of a task raises that ended like this; None if it completed."""
    error = _ERRORS.get(state.status)
    return None if error is None else error(state)


class Awaited(Protocol):
    """What is waited for: a task that was sent."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def task_name(self) -> str:
        """Its task."""
        ...

    @property
    def queue(self) -> str:
        """Its queue."""
        ...


class Waits(Protocol):
    """What is told of each wait for a task, by the code of a running task."""

    def waiting_for(self, awaited: Awaited) -> AbstractContextManager[None]:
        """Entered during the wait."""
        ...


waits: ContextVar[Waits | None] = ContextVar("ltq.waits", default=None)
"""Set for the tasks that a worker runs."""

_UNTOLD = nullcontext()


class Handle(Generic[R_co]):
    """A task that was sent, by this process or another. `str(handle)` is its id.

    All handles of a broker wait over one connection, however many there are.
    """

    __slots__ = (
        "_decode",
        "_last",
        "_result_ttl",
        "_source",
        "_timeout",
        "id",
        "queue",
        "task_name",
    )

    def __init__(
        self,
        source: BrokerSource,
        task_id: str,
        *,
        task_name: str,
        queue: str,
        decode: Callable[[bytes, str], Any],
        result_ttl: float,
        timeout: float | None = None,
    ) -> None:
        """`decode` takes the bytes of a result, and the name of the serializer that wrote them.

        `timeout` is the task's, for states of sends that named none.
        """
        self._last: TaskState[R_co] | None = None
        self._source = source
        self._decode = decode
        self._result_ttl = result_ttl
        self._timeout = timeout
        self.id: str = task_id
        self.task_name: str = task_name
        self.queue: str = queue

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Handle of {self.task_name} {self.id}{describe(self._last)}>"

    def _repr_html_(self) -> str:
        """For notebooks: the task and its last known state. The broker is not called."""
        return table([row(self.task_name, self.id, self._last)])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return NotImplemented
        return (self.id, self.queue) == (other.id, other.queue)

    def __hash__(self) -> int:
        return hash((self.id, self.queue))

    async def state(self) -> TaskState[R_co]:
        """The present state. Raises `TaskNotFoundError`, `BrokerError`."""
        self._last = self._typed(await self._broker().state(self.queue, self.id))
        return self._last

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait for the end and return the result of the task, with the type of its annotation.

        Raises `TaskFailedError`, `TaskRejectedError` or `TaskCancelledError` if the task did not
        complete, `ResultTimeoutError` after `timeout` seconds (the task goes on),
        `TaskNotFoundError` if there is no such task or its result has expired, and `BrokerError`
        if the broker cannot be reached.
        """
        state = await self.wait(timeout)
        error = error_of(state)
        if error is not None:
            raise error
        return cast(R_co, state.result)

    async def wait(self, timeout: float | None = None) -> TaskState[R_co]:
        """Wait for the end and return the final state, whatever it is.

        A handle remembers a result that it has seen, and a cancellation. It does not remember that
        the task failed or was rejected: the task may have been sent again since, from the dead
        letters. Raises `ResultTimeoutError` after `timeout` seconds, `TaskNotFoundError`,
        `BrokerError`.
        """
        check_wait(timeout)
        if self._last is None or self._last.status not in _FOR_EVER:
            self._last = await self._wait(timeout)
        return self._last

    async def _wait(self, timeout: float | None) -> TaskState[R_co]:
        if timeout is not None and timeout <= 0:
            state = await self.state()
            if not state.status.is_final:
                raise ResultTimeoutError(self.id, timeout)
            return state
        with self._told():
            return self._typed(await self._broker().wait(self.queue, self.id, timeout=timeout))

    def watch(self, timeout: float | None = None) -> AsyncGenerator[TaskState[R_co], None]:
        """Follow the task live: yields its present state, then its changes, then its final state.

        If changes are quick, a state in between may be missed; the final state never is. Raises
        `ResultTimeoutError` after `timeout` seconds, `TaskNotFoundError`, `BrokerError`, and
        `ConfigurationError` at once for a wrong `timeout`.
        """
        check_wait(timeout)
        return self._watch(timeout)

    async def _watch(self, timeout: float | None) -> AsyncGenerator[TaskState[R_co], None]:
        watched = self._broker().watch(self.queue, self.id, timeout=timeout)
        try:
            while True:
                with self._told():  # not while the caller has a state
                    try:
                        encoded = await anext(watched)
                    except StopAsyncIteration:
                        return
                self._last = self._typed(encoded)
                yield self._last
        finally:
            await watched.aclose()

    async def cancel(self) -> bool:
        """Cancel the task, whether it waits or runs; return False if it was final already.

        A queued task never starts; a running coroutine gets `asyncio.CancelledError`. Raises
        `TaskNotFoundError`, `BrokerError`.
        """
        return await self._broker().cancel(self.queue, self.id, self._result_ttl)

    async def rerun(self) -> "Handle[R_co]":
        """Send the task once more, now that it has ended; return the handle of the new task.

        It has the same arguments, options and tags. They are kept with the state of a failed or
        rejected task, and of any with the option `keep_body`. Raises `RerunError` if the task has
        not ended or its arguments were not kept, `TaskNotFoundError`, `BrokerError`.
        """
        (task_id,) = await self._broker().rerun(self.queue, [self.id])
        return Handle(
            self._source,
            task_id,
            task_name=self.task_name,
            queue=self.queue,
            decode=self._decode,
            result_ttl=self._result_ttl,
            timeout=self._timeout,
        )

    def _broker(self) -> Broker:
        """The broker to ask. It refuses an id that is no name: there is no such task."""
        if not is_name(self.id):
            raise TaskNotFoundError(self.id)
        return self._source.broker

    def _told(self) -> AbstractContextManager[None]:
        """Tell the worker, if this is code of a running task, that the task waits for this one."""
        listener = waits.get()
        return _UNTOLD if listener is None else listener.waiting_for(self)

    def _typed(self, encoded: TaskState[bytes]) -> TaskState[R_co]:
        changes: dict[str, Any] = {}
        if encoded.result is not None:
            changes["result"] = self._decode(encoded.result, encoded.serializer)
        if encoded.timeout is None and self._timeout is not None:
            changes["timeout"] = self._timeout
        return cast(TaskState[R_co], replace(encoded, **changes) if changes else encoded)
