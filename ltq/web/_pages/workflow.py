"""The workflow of a task, as its page shows it."""

from contextlib import suppress
from typing import Any, NamedTuple

from ltq._flow.outline import find_outline
from ltq.errors import TaskNotFoundError
from ltq.names import is_name
from ltq.state import TaskState
from ltq.web._pages.page import Ask
from ltq.workflow import WorkflowNode
from ltq.workflow.layout import after_text, first_nodes, levels, short_id
from ltq.workflow.tree import Tree

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
    broker, bounded = ask.place.broker, ask.readings.bounded
    if not is_name(state.queue):  # its record is spoilt
        return None
    outline = await bounded(find_outline(broker, state.queue, state.id))
    if outline is None:
        return None
    own_id = next((node.id for node in outline.nodes if node.id == state.id), None)
    own_id = own_id or state.id.rpartition(".")[0]
    with suppress(TaskNotFoundError):
        shown = first_nodes(outline, _MOST_NODES, also=own_id)
        tree = await bounded(Tree(broker, shown).read())
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
        left_out = len(outline.nodes) - len(rows)
        return {"id": tree.id, "status": tree.status, "rows": rows, "left_out": left_out}
    return None
