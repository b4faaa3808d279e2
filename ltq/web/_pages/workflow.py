"""The workflow of a task, as its page shows it."""

from contextlib import suppress
from typing import Any, NamedTuple

from ltq.errors import TaskNotFoundError
from ltq.names import is_name
from ltq.state import TaskState
from ltq.web._pages.page import Ask
from ltq.workflow import WorkflowNode
from ltq.workflow.layout import after_text, levels, short_id
from ltq.workflow.tree import find_tree

_MOST_NODES = 100
"""Most nodes that are shown: the first ones, the last one, and that of the page."""


class Row(NamedTuple):
    """A node."""

    node: WorkflowNode
    name: str
    """The end of its id."""
    level: int
    """How far it is indented."""
    after: str
    is_here: bool
    """Whether the page is about it, or about an element of it."""


async def read_workflow(ask: Ask, state: TaskState[bytes]) -> dict[str, Any] | None:
    """The nodes of the workflow of a task; None if it is in none."""
    broker, bounded = ask.board.broker, ask.readings.bounded
    if not is_name(state.queue):  # its record is spoilt
        return None
    found = await bounded(find_tree(broker, state.queue, state.id))
    if found is None:
        return None
    own_id = found.node_of(state.id)
    with suppress(TaskNotFoundError):
        tree = await bounded(found.first(_MOST_NODES, also=own_id).read())
        rows = [
            Row(
                node,
                short_id(node.id, tree.id),
                level,
                after_text(node, tree.id),
                node.id == own_id,
            )
            for node, level in zip(tree.nodes, levels(tree.nodes), strict=True)
        ]
        left_out = found.size - len(rows)
        return {"id": tree.id, "status": tree.status, "rows": rows, "left_out": left_out}
    return None
