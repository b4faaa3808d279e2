"""How a workflow is laid out for people: what is indented, and what is left out."""

from collections import Counter
from collections.abc import Sequence

from ltq.state import Status
from ltq.workflow.state import WorkflowNode, WorkflowState

_DEEPEST = 6
"""Most steps by which a node is indented."""

_URGENCY = (
    Status.FAILED,
    Status.REJECTED,
    Status.WORKING,
    Status.PENDING,
    Status.DELAYED,
    Status.CANCELLED,
    Status.COMPLETED,
)


def levels(nodes: Sequence[WorkflowNode]) -> list[int]:
    """How far each node is indented: one step more than what it needs, up to a limit."""
    depths: dict[str, int] = {}
    for node in nodes:
        depths[node.id] = max((depths.get(parent, -1) + 1 for parent in node.parents), default=0)
    return [min(depths[node.id], _DEEPEST) for node in nodes]


def most_urgent(nodes: Sequence[WorkflowNode], most: int) -> list[int]:
    """The numbers of the nodes to show if there is room for few: first what failed or runs."""
    if len(nodes) <= most:
        return [*range(len(nodes))]
    ranked = sorted(range(len(nodes)), key=lambda number: _rank(nodes[number]))
    return sorted(ranked[:most])


def after_text(node: WorkflowNode, workflow_id: str, most: int = 3) -> str:
    """What a node needs, like `"after n0, n2 and 7 more"`; empty if it needs nothing."""
    names = [short_id(parent, workflow_id) for parent in node.parents[:most]]
    more = len(node.parents) - len(names)
    text = ", ".join(names) + (f" and {more} more" if more else "")
    return f"after {text}" if text else ""


def short_id(node_id: str, workflow_id: str) -> str:
    """The end of an id that differs from that of the workflow; all of it if none does."""
    return node_id.removeprefix(f"{workflow_id}.")


def counts_text(state: WorkflowState) -> str:
    """How far a workflow is, like `"2 of 5 nodes ended"`."""
    ended = sum(node.status is None or node.status.is_final for node in state.nodes)
    return f"{ended} of {len(state.nodes)} node{'s' * (len(state.nodes) != 1)} ended"


def rest_text(nodes: Sequence[WorkflowNode]) -> str:
    """What there is besides, like `"and 950 more: 3 completed, 947 delayed"`."""
    counts = Counter("expired" if one.status is None else one.status.value for one in nodes)
    return f"and {len(nodes)} more: " + ", ".join(f"{n} {name}" for name, n in counts.items())


def _rank(node: WorkflowNode) -> int:
    if node.status is None:
        return len(_URGENCY)
    if node.status is Status.DELAYED and node.total is not None:
        return _URGENCY.index(Status.WORKING)  # its elements run
    return _URGENCY.index(node.status)
