"""The nodes of a workflow, as lines."""

from collections.abc import Iterable, Iterator

from rich.text import Text

from ltq.cli._format import progress_text, status_text
from ltq.logger import printable
from ltq.state import Progress
from ltq.workflow import WorkflowNode, WorkflowState
from ltq.workflow.layout import after_text, levels, short_id


def node_rows(state: WorkflowState, numbers: Iterable[int]) -> Iterator[tuple[Text, Text, Text]]:
    """The name of each of these nodes, indented, its status, and what else is to be said of it."""
    indents = levels(state.nodes)
    for number in numbers:
        node = state.nodes[number]
        name = Text("  " * indents[number] + printable(node.task_name))
        about = [short_id(node.id, state.id), after_text(node, state.id)]
        more = Text(printable(" ".join(word for word in about if word)), style="dim")
        if node.error:
            more.append(f"  {printable(node.error)}", style="red")
        yield name, node_status(node), more


def node_status(node: WorkflowNode) -> Text:
    """The status of a node, and how far a map is."""
    if node.status is None:
        return Text("expired", style="dim")
    text = status_text(node.status)
    if node.done is not None:
        text.append(f" {progress_text(Progress(node.done, node.total))}")
    return text
