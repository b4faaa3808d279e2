"""A workflow that was sent: its state and its result."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Generic, Self, cast

from typing_extensions import TypeVar

from ltq._flow.parts import Kind
from ltq._flow.plan import Plan
from ltq._flow.stop_resume import stop
from ltq._flow.values import element_id
from ltq.broker.flows import NOTE
from ltq.errors import ResultTimeoutError, TaskCancelledError, TaskFailedError, TaskRejectedError
from ltq.handle import Handle
from ltq.options import check_wait
from ltq.state import Status, TaskState
from ltq.workflow.state import WorkflowState
from ltq.workflow.tree import WorkflowTree, _NodeFeeds, _read_states

R_co = TypeVar("R_co", covariant=True, default=Any)

_RECHECK = 0.5
"""Seconds between two looks at a workflow that is stopped, unless a node of it changes."""

_STOPPED_PATIENCE = 10.0
"""Seconds for which a workflow without a dead node may stay stopped: it is about to go on."""

_MOST_STATES = 500
"""Most states of one call."""


class WorkflowHandle(Handle[R_co], Generic[R_co]):
    """A workflow that was sent, by this process or another: the handle of its last node."""

    __slots__ = ("_goes_on", "_plan")

    def __init__(self, workflow: object, *, goes_on: bool) -> None:
        """For LTQ's own use: `node.send` and `node.handle` make handles."""
        plan = cast(Plan, workflow)
        last, task = plan.last.part, plan.last.part.home
        super().__init__(
            task.source,
            plan.last.id,
            task_name=last.task_name,
            queue=last.queue,
            decode=last.decode,
            result_ttl=last.result_ttl,
            timeout=task.timeout if last.kind is Kind.CALL else None,
        )
        self._plan = plan
        self._goes_on = goes_on

    def __repr__(self) -> str:
        return f"<WorkflowHandle of {self.task_name} {self.id}>"

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait for the end and return the result of the last node.

        If another node failed or was rejected, this raises `TaskFailedError` or
        `TaskRejectedError` with the state of that one. Otherwise it is as `Handle.result`.
        """
        check_wait(timeout)
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        with _Stopped(self) as stopped:
            while True:
                left = None if deadline is None else max(0.0, deadline - loop.time())
                try:
                    state = await self.wait(left)
                except ResultTimeoutError:
                    raise ResultTimeoutError(self.id, timeout or 0.0) from None
                if state.status is not Status.CANCELLED:
                    return cast(R_co, _result_of(state))
                if (dead := await stopped.reason(state)) is not None:
                    return cast(R_co, _result_of(dead))
                if deadline is not None and loop.time() >= deadline:
                    raise ResultTimeoutError(self.id, timeout or 0.0)
                await stopped.wait()

    async def wait(self, timeout: float | None = None) -> TaskState[R_co]:
        """Wait for the end of the last node and return its final state: see `Handle.wait`.

        A cancellation is not remembered: a replay may let the workflow go on.
        """
        if self._last is not None and self._last.status is Status.CANCELLED:
            self._last = None
        return await super().wait(timeout)

    async def cancel(self) -> bool:
        """Cancel the whole tree; return False if its last node was final already.

        Waiting nodes never start, running coroutines get `asyncio.CancelledError`. If this process
        ends halfway, a worker goes on with it. Raises `TaskNotFoundError`, `BrokerError`.
        """
        is_cancelled = await super().cancel()
        if is_cancelled or self._goes_on:  # then the last one may have ended before the others
            await stop(self._broker(), self._plan.tree)
        return is_cancelled

    def watch_tree(self, timeout: float | None = None) -> AsyncGenerator[WorkflowState, None]:
        """Follow all nodes live: yields the present state of the tree, then its changes.

        It ends when all nodes have ended. If changes are quick, a state in between may be missed;
        the last one never is. Raises `ResultTimeoutError` after `timeout` seconds,
        `TaskNotFoundError` if there is no such workflow, `BrokerError`, and `ConfigurationError` at
        once for a wrong `timeout`.
        """
        check_wait(timeout)
        return self._watch_tree(timeout)

    async def tree(self) -> WorkflowState:
        """The present state of all nodes. Raises `TaskNotFoundError`, `BrokerError`."""
        return await self._tree().read()

    async def _watch_tree(self, timeout: float | None) -> AsyncGenerator[WorkflowState, None]:
        async with aclosing(self._tree().watch(timeout)) as states:
            async for state in states:
                yield state

    async def _states(self) -> AsyncGenerator[TaskState[bytes], None]:
        """The states of all nodes, then of the elements of maps that have not ended."""
        broker, nodes = self._broker(), self._plan.outline.nodes
        for state in await _read_states(broker, nodes):
            if state is not None:
                yield state
        for node in nodes:
            task = await broker.held(node.queue, node.id, ()) if node.is_map else None
            count = 0 if task is None or task.count is None else task.count.of - 1
            for first in range(0, count, _MOST_STATES):
                indexes = range(first, min(first + _MOST_STATES, count))
                ids = [element_id(node.id, index) for index in indexes]
                for state in await broker.states(node.queue, ids):
                    if state is not None:
                        yield state

    def _tree(self) -> WorkflowTree:
        return WorkflowTree(self._broker(), self._plan.outline)

    async def _is_stopped(self) -> bool:
        """Whether it was cancelled because a node had failed."""
        task = await self._broker().held(self.queue, self.id, [NOTE])
        return task is None or task.status is not Status.CANCELLED or NOTE in task.slots

    async def _may_go_on(self) -> bool:
        """Whether what runs may let it go on."""
        return self._goes_on or await self._is_stopped()


class _Stopped:
    """Why the last node of a workflow is cancelled, until that is clear or it goes on."""

    def __init__(self, handle: WorkflowHandle[Any]) -> None:
        self._handle = handle
        self._feeds: _NodeFeeds | None = None
        self._patient_until: float | None = None

    async def reason(self, last: TaskState[Any]) -> TaskState[bytes] | None:
        """The state of what failed; None if the workflow may go on.

        Raises `TaskCancelledError` if it was cancelled.
        """
        handle, now = self._handle, asyncio.get_running_loop().time()
        states = [one async for one in handle._states()]  # noqa: SLF001  a part of it
        dead = next((one for one in states if one.status.is_dead), None)
        if dead is not None:
            return dead
        runs = any(not one.status.is_final for one in states)
        if runs and await handle._may_go_on():  # noqa: SLF001
            self._patient_until = None
            return None
        self._patient_until = self._patient_until or now + _STOPPED_PATIENCE
        if now >= self._patient_until or not await handle._is_stopped():  # noqa: SLF001
            raise TaskCancelledError(last)
        return None

    async def wait(self) -> None:
        """Wait until a node changes. An element of a map may do so unseen: not for long."""
        if self._feeds is None:
            broker, plan = self._handle._broker(), self._handle._plan  # noqa: SLF001
            self._feeds = _NodeFeeds(broker, plan.outline.nodes)
        await self._feeds.wait_until(asyncio.get_running_loop().time() + _RECHECK)
        self._feeds.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._feeds is not None:
            self._feeds.close()


def _result_of(state: TaskState[Any]) -> Any:
    """The result of a task that completed. Raises the error of any other."""
    if state.status is Status.FAILED:
        raise TaskFailedError(state)
    if state.status is Status.REJECTED:
        raise TaskRejectedError(state)
    return state.result
