"""A task that was sent, for synchronous code: Django, Flask, scripts."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any, Generic

from typing_extensions import TypeVar

from ltq._aio.portal import BlockingPortal, close_portal, open_portal
from ltq.broker import Broker, BrokerSource
from ltq.handle import Handle
from ltq.state import TaskState

R_co = TypeVar("R_co", covariant=True, default=Any)


class SyncHandle(Generic[R_co]):
    """A `Handle` whose methods wait instead of being awaited. `str(handle)` is its id.

    It comes from `task.send_sync(...)`, or in any process from `task.handle_sync(id)`. Any thread
    may use it. All handles of a process share one event loop in a background thread, and its
    connections. Within an event loop the methods raise `ConfigurationError`, because they would
    block that loop.
    """

    __slots__ = ("_handle", "_source")

    def __init__(self, source: BrokerSource, handle: Handle[R_co]) -> None:
        self._source = source
        self._handle = handle

    @property
    def id(self) -> str:
        """The task's id."""
        return self._handle.id

    @property
    def task_name(self) -> str:
        """`"worker:function"`."""
        return self._handle.task_name

    @property
    def queue(self) -> str:
        """The queue of the task."""
        return self._handle.queue

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return repr(self._handle).replace("Handle", "SyncHandle", 1)

    def _repr_html_(self) -> str:
        """For notebooks: the task and its last known state. The broker is not called."""
        return self._handle._repr_html_()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncHandle):
            return NotImplemented
        return self._handle == other._handle

    def __hash__(self) -> int:
        return hash(self._handle)

    def state(self) -> TaskState[R_co]:
        """The present state. Raises `TaskNotFoundError`, `BrokerError`."""
        portal = open_portal("await handle.state()")
        return portal.call(self._source.broker, self._handle.state())

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for the end and return the result of the task, with the type of its annotation.

        Raises `TaskFailedError`, `TaskRejectedError` or `TaskCancelledError` if the task did not
        complete, `ResultTimeoutError` after `timeout` seconds (the task goes on),
        `TaskNotFoundError` if there is no such task or its result has expired, and `BrokerError`
        if the broker cannot be reached.
        """
        portal = open_portal("await handle.result(...)")
        return portal.call(self._source.broker, self._handle.result(timeout))

    def wait(self, timeout: float | None = None) -> TaskState[R_co]:
        """Wait for the end and return the final state, whatever it is.

        Raises `ResultTimeoutError`, `TaskNotFoundError`, `BrokerError`.
        """
        portal = open_portal("await handle.wait(...)")
        return portal.call(self._source.broker, self._handle.wait(timeout))

    def watch(self, timeout: float | None = None) -> Generator[TaskState[R_co], None, None]:
        """Follow the task live: yields its present state, then its changes, then its final state.

        If changes are quick, a state in between may be missed; the final state never is. Raises
        `ResultTimeoutError` after `timeout` seconds, `TaskNotFoundError`, `BrokerError`.
        """
        portal = open_portal("async for state in handle.watch(...)")
        return _follow(portal, self._source.broker, self._handle.watch(timeout))

    def cancel(self) -> bool:
        """Cancel the task, whether it waits or runs; return False if it was final already.

        Raises `TaskNotFoundError`, `BrokerError`.
        """
        portal = open_portal("await handle.cancel()")
        return portal.call(self._source.broker, self._handle.cancel())

    def rerun(self) -> "SyncHandle[R_co]":
        """Send the task once more, now that it has ended; return the handle of the new task.

        Raises `RerunError` if the task has not ended or its arguments were not kept,
        `TaskNotFoundError`, `BrokerError`.
        """
        portal = open_portal("await handle.rerun()")
        handle = portal.call(self._source.broker, self._handle.rerun())
        return SyncHandle(self._source, handle)


def _follow(
    portal: BlockingPortal, broker: Broker, states: AsyncGenerator[TaskState[R_co], None]
) -> Generator[TaskState[R_co], None, None]:
    one_at_a_time = asyncio.Lock()  # an interrupted step may still run

    async def step() -> TaskState[R_co] | None:
        async with one_at_a_time:
            return await anext(states, None)

    async def end() -> None:
        async with one_at_a_time:
            await states.aclose()

    try:
        while (state := portal.call(broker, step())) is not None:
            yield state
    finally:
        # Do not wait: a garbage collection may end this generator, in any thread.
        portal.tell(broker, end())


def close_sync() -> None:
    """Close the connections that synchronous calls of this process have opened, and their thread.

    This happens by itself when the process exits. Call it before a fork, or at the end of a test
    that looks for open connections. The next synchronous call opens new ones. It may be called from
    any thread; calls in progress raise `BrokerError`.
    """
    close_portal()
