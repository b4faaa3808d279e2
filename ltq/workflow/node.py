"""Nodes: descriptions of workflows."""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, cast, overload

from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._display.values import short_repr
from ltq._flow.config import NodeConfig
from ltq._flow.parts import Kind, NodeTask, Part, check_serializer
from ltq._flow.plan import Plan
from ltq._flow.sending import send
from ltq.broker.flows import MAX_SLOTS
from ltq.errors import InvalidArgumentsError
from ltq.names import check_id, new_id
from ltq.workflow.handle import WorkflowHandle
from ltq.workflow.options import NodeOptions, _changed

R_co = TypeVar("R_co", covariant=True, default=Any)
S_co = TypeVar("S_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")
Q = ParamSpec("Q")


_DEEPEST = 100
"""How deep the result of a join may be nested: tuples in tuples. Readers go down step by step."""


class Sendable(Protocol[T_contra, P, S_co]):
    """What a node can run: a task whose first argument is a `T`, and whose others are `P`."""

    def step(self, first: T_contra, /, *args: P.args, **kwargs: P.kwargs) -> "Node[S_co]":
        """A node that runs it."""
        ...


class Node(Generic[R_co]):
    """A task of a workflow that is yet to be sent, with all that it needs: `task.step(...)`.

    It is a description: frozen, safe to use in several places, where it runs once for each workflow
    that is sent, and safe to send any number of times.
    """

    __slots__ = ("_config", "_part")

    def __init__(self, part: object, config: object) -> None:
        """For LTQ's own use: nodes are made by `task.step`, and by other nodes."""
        self._part = cast(Part, part)
        self._config = cast(NodeConfig, config)

    def __repr__(self) -> str:
        needs = ", ".join(part.task_name for part in self._part.needs)
        return f"<Node {self._part.task_name}{f' after {needs}' if needs else ''}>"

    def then(
        self: "Node[T]",
        task: Sendable[T, Q, S],
        /,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> "Node[S]":
        """A node that runs a task with the result of this one as its first argument.

        The others are given here, and checked as in `send`. The result is checked where the task
        runs. Raises `InvalidArgumentsError`, and `ConfigurationError` if the tasks of the two have
        different serializers.
        """
        return Node(_after(Kind.CALL, self._part, task, args, kwargs), NodeConfig())

    @overload
    def map(
        self: "Node[list[T]]",
        task: Sendable[T, Q, S],
        /,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> "Node[list[S]]": ...
    @overload
    def map(
        self: "Node[tuple[T, ...]]",
        task: Sendable[T, Q, S],
        /,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> "Node[list[S]]": ...
    @overload
    def map(
        self: "Node[set[T]]",
        task: Sendable[T, Q, S],
        /,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> "Node[list[S]]": ...
    @overload
    def map(
        self: "Node[frozenset[T]]",
        task: Sendable[T, Q, S],
        /,
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> "Node[list[S]]": ...
    def map(self, task: Any, /, *args: Any, **kwargs: Any) -> "Node[list[Any]]":
        """A node that runs a task for each element of the list that is the result of this one.

        Its result is the list of their results, in the same order; of an empty list an empty one.
        There may be 100 000 elements. What is no list, or has more, lets the node be REJECTED.
        Raises what `then` raises.
        """
        return Node(_after(Kind.MAP, self._part, task, args, kwargs), NodeConfig())

    def with_options(self, /, **options: Unpack[NodeOptions]) -> "Node[R_co]":
        """The same node, with options for the workflow that is sent by it.

        Raises `ConfigurationError` for an unknown or wrong option.
        """
        return Node(self._part, _changed(self._config, options))

    async def send(self) -> WorkflowHandle[R_co]:
        """Send this node and all that it needs; return the handle of this one.

        If there is a workflow with the same `id` already, that is it, and nothing is sent. Raises
        `ConfigurationError` for nodes of different brokers and for an id of another task,
        `InvalidArgumentsError`, `BrokerError`, and any `LtqError` that `Middleware.on_send` raises.
        """
        plan = self._plan(self._config.id or new_id())
        await send(plan, has_own_id=self._config.id is not None)
        return WorkflowHandle(plan, goes_on=self._config.goes_on)

    def handle(self, id: str) -> WorkflowHandle[R_co]:  # noqa: A002  the field's name for it
        """The handle of a workflow that was sent by any process. The broker is not called yet.

        Raises `ConfigurationError` for what is not a text.
        """
        return WorkflowHandle(self._plan(check_id(id)), goes_on=self._config.goes_on)

    def _plan(self, workflow_id: str) -> Plan:
        return Plan(self._part, workflow_id, self._config)


def _node_of(task: NodeTask, args: Sequence[Any], kwargs: dict[str, Any]) -> Node[Any]:
    """A node that runs a task with these arguments. Raises `InvalidArgumentsError`."""
    body = task.codec.encode_call(tuple(args), kwargs)
    return Node(Part(Kind.CALL, task, (), args, kwargs, body), NodeConfig())


def _part_of(node: object) -> Part:
    """The part of a node. Raises `InvalidArgumentsError` for what is none."""
    if not isinstance(node, Node):
        raise InvalidArgumentsError(
            f"{short_repr(node)} is not a node: use task.step(...), node.then(...) or ltq.join(...)"
        )
    return node._part  # noqa: SLF001  a friend of its class


def _join_of(parts: Sequence[Part]) -> Node[Any]:
    """A node whose result is the tuple of these results. Raises `InvalidArgumentsError`."""
    if not 0 < len(parts) < MAX_SLOTS:
        raise InvalidArgumentsError(f"a join takes 1 to {MAX_SLOTS - 1} nodes, not {len(parts)}")
    depth = 1 + max(part.depth for part in parts)
    if depth > _DEEPEST:
        raise InvalidArgumentsError(
            f"joins are nested at most {_DEEPEST} deep: one join takes many nodes"
        )
    check_serializer(parts[0], parts)
    return Node(Part(Kind.JOIN, None, tuple(parts), depth=depth), NodeConfig())


def _after(kind: Kind, need: Part, task: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Part:
    make = getattr(task, "_node_task", None)
    own = make() if callable(make) else None
    if not isinstance(own, NodeTask):
        raise InvalidArgumentsError(
            f"{short_repr(task)} is not a task: a node runs one of @worker.task"
        )
    body = own.codec.after_first().encode_call(tuple(args), kwargs)
    part = Part(kind, own, (need,), args, kwargs, body)
    check_serializer(part, part.needs)
    return part
