"""A workflow that was sent: its state and its result."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from ltq._flow.parts import Kind
from ltq._flow.plan import Plan, PlannedNode
from ltq._flow.tree import stop
from ltq._flow.values import element_id
from ltq.broker import Broker
from ltq.broker.flows import NOTE
from ltq.errors import ResultTimeoutError, TaskCancelledError, TaskFailedError, TaskRejectedError
from ltq.handle import Handle
from ltq.options import check_wait
from ltq.state import Status, TaskState
from ltq.workflow.state import WorkflowNode, WorkflowState

R_co = TypeVar("R_co", covariant=True, default=Any)

_DEAD = (Status.FAILED, Status.REJECTED)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at a tree: at first, and if nothing changes."""

_PATIENCE = 10.0
"""Seconds for which a workflow without a dead node may stay stopped: it is about to go on."""

_MOST = 500
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
        patient_until = None
        while True:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            state = await self.wait(left)
            if state.status is not Status.CANCELLED:
                return cast(R_co, _result_of(state))
            states = [one async for one in self._states()]
            dead = next((one for one in states if one.status in _DEAD), None)
            if dead is not None:
                return cast(R_co, _result_of(dead))
            if any(not one.status.is_final for one in states) and await self._may_go_on():
                patient_until = None
            else:
                patient_until = patient_until or loop.time() + _PATIENCE
                if loop.time() >= patient_until or not await self._is_stopped():
                    raise TaskCancelledError(state)
            if deadline is not None and loop.time() >= deadline:
                raise ResultTimeoutError(self.id, timeout or 0.0)
            await asyncio.sleep(_LONGEST_PAUSE / 5)

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
        last = await self.state()
        broker = self._broker()
        states = {one.id: one for one in await self._node_states(broker)}
        states[self.id] = cast(TaskState[bytes], last)
        nodes = tuple([await self._node(broker, node, states) for node in self._plan.nodes])
        return WorkflowState(id=self.id, status=_status_of(last.status, nodes), nodes=nodes)

    async def _watch_tree(self, timeout: float | None) -> AsyncGenerator[WorkflowState, None]:
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        last: WorkflowState | None = None
        pause = _FIRST_PAUSE
        while True:
            state = await self.tree()
            if state != last:
                last, pause = state, _FIRST_PAUSE
                yield state
            statuses = [node.status for node in state.nodes]
            if all(status is None or status.is_final for status in statuses):
                return
            if deadline is not None and loop.time() >= deadline:
                raise ResultTimeoutError(self.id, timeout or 0.0)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _node(
        self, broker: Broker, node: PlannedNode, states: dict[str, TaskState[bytes]]
    ) -> WorkflowNode:
        state = states.get(node.id)
        done = total = None
        if node.part.kind is Kind.MAP and state is not None and state.status is not _COMPLETED:
            task = await broker.held(node.part.queue, node.id, ())
            if task is not None and task.count is not None:
                done, total = max(0, task.count.values - 1), task.count.of - 1
        return WorkflowNode(
            id=node.id,
            task_name=node.part.task_name,
            queue=node.part.queue,
            status=None if state is None else state.status,
            parents=node.parents,
            done=done,
            total=total,
        )

    async def _node_states(self, broker: Broker) -> list[TaskState[bytes]]:
        """The states of all nodes, in their order."""
        by_queue: dict[str, list[str]] = {}
        for node in self._plan.nodes:
            by_queue.setdefault(node.part.queue, []).append(node.id)
        found: dict[str, TaskState[bytes]] = {}
        for queue, ids in by_queue.items():
            for state in await _read(broker, queue, ids):
                found[state.id] = state
        return [found[node.id] for node in self._plan.nodes if node.id in found]

    async def _states(self) -> AsyncGenerator[TaskState[bytes], None]:
        """The states of all nodes, then of the elements of maps that have not ended."""
        broker = self._broker()
        for state in await self._node_states(broker):
            yield state
        for node in self._plan.nodes:
            if node.part.kind is not Kind.MAP:
                continue
            task = await broker.held(node.part.queue, node.id, ())
            count = 0 if task is None or task.count is None else task.count.of - 1
            for first in range(0, count, _MOST):
                indexes = range(first, min(first + _MOST, count))
                ids = [element_id(node.id, index) for index in indexes]
                for state in await _read(broker, node.part.queue, ids):
                    yield state

    async def _is_stopped(self) -> bool:
        """Whether it was cancelled because a node had failed."""
        task = await self._broker().held(self.queue, self.id, [NOTE])
        return task is None or task.status is not Status.CANCELLED or NOTE in task.slots

    async def _may_go_on(self) -> bool:
        """Whether what runs may let it go on."""
        return self._goes_on or await self._is_stopped()


_COMPLETED = Status.COMPLETED


async def _read(broker: Broker, queue: str, ids: list[str]) -> list[TaskState[bytes]]:
    return [
        state
        for first in range(0, len(ids), _MOST)
        for state in await broker.states(queue, ids[first : first + _MOST])
        if state is not None
    ]


def _result_of(state: TaskState[Any]) -> Any:
    """The result of a task that completed. Raises the error of any other."""
    if state.status is Status.FAILED:
        raise TaskFailedError(state)
    if state.status is Status.REJECTED:
        raise TaskRejectedError(state)
    return state.result


def _status_of(last: Status, nodes: Iterable[WorkflowNode]) -> Status:
    statuses = [node.status for node in nodes]
    if last.is_final:
        dead = (status for status in statuses if status in _DEAD)
        return next(dead, last) if last is Status.CANCELLED else last
    has_begun = any(status not in (Status.PENDING, Status.DELAYED) for status in statuses)
    return Status.WORKING if has_begun else Status.PENDING
