"""What is seen of a workflow."""

from dataclasses import dataclass

from ltq.state import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowNode:
    """One node of a workflow at one moment."""

    id: str
    """The id of its task."""
    task_name: str
    """`"worker:function"`; for a map that of its elements, for a join `"ltq:join"`."""
    queue: str
    status: Status | None
    """That of its task: DELAYED while it waits for other nodes. None if its state has expired."""
    parents: tuple[str, ...] = ()
    """The ids of the nodes whose results it takes."""
    error: str | None = None
    """A node that failed or was rejected: `"ValueError: text"`, or the reason."""
    done: int | None = None
    """A map that has not completed: how many of its elements have."""
    total: int | None = None
    """A map that has not completed: how many elements it has, once that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowState:
    """A workflow at one moment."""

    id: str
    """That of its last node."""
    status: Status
    """PENDING until a node has begun, then WORKING. In the end that of the last node, or of the
    first node that failed or was rejected, if the last one was cancelled for that."""
    nodes: tuple[WorkflowNode, ...]
    """All nodes, each behind those whose results it takes."""
