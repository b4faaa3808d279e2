"""`ltq watch` of a workflow: all its nodes, live until they have ended."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import asdict
from typing import Protocol

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ltq._display.encoded import json_value
from ltq.broker import Broker
from ltq.cli._console import print_line, safe
from ltq.cli._errors import CommandError
from ltq.cli._format import clock_text, shown_result, status_text
from ltq.cli._live.clock import BrokerClock
from ltq.cli._live.nodes import node_rows, node_status
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.logger import printable
from ltq.state import Status, TaskState
from ltq.workflow import WorkflowNode, WorkflowState
from ltq.workflow.layout import after_text, counts_text, most_urgent, rest_text
from ltq.workflow.tree import WorkflowTree

_SHOWN_RESULT = 200
"""Most characters of a result that are shown; `ltq state` shows all of it."""

_OTHER_LINES = 4
"""Lines of a terminal that are not for nodes."""


class _View(Protocol):
    def screen(self) -> AbstractContextManager[object]:
        """Return the context to be in while states arrive."""
        ...

    def show(self, state: WorkflowState, changed: Sequence[WorkflowNode]) -> None:
        """Show a new state, in which these nodes differ from the last one."""
        ...

    def end(self, state: WorkflowState, last: TaskState[bytes]) -> None:
        """Show how it ended, with the state of the last node."""
        ...


async def watch_tree(
    broker: Broker, tree: WorkflowTree, timeout: float | None, console: Console, *, as_json: bool
) -> Exception | None:
    """Follow a workflow. Return why it is not known to have completed."""
    view = await _view(broker, console, as_json=as_json)
    known: dict[str, WorkflowNode] = {}
    state: WorkflowState | None = None
    try:
        with view.screen():
            async with aclosing(tree.watch(timeout)) as states:
                async for state in states:
                    view.show(state, [one for one in state.nodes if known.get(one.id) != one])
                    known = {one.id: one for one in state.nodes}
        assert state is not None
        view.end(state, await broker.state(tree.last_queue, tree.id))
    except (TaskNotFoundError, ResultTimeoutError) as error:
        return error
    return None if state.status is Status.COMPLETED else CommandError(_reason(state))


async def _view(broker: Broker, console: Console, *, as_json: bool) -> _View:
    if as_json:
        return _JsonView()
    if console.is_interactive:
        return _LiveView(console)
    return _LineView(console, await BrokerClock.read(broker))


def _reason(state: WorkflowState) -> str:
    dead = next((one for one in state.nodes if one.error is not None), None)
    text = f"workflow {state.id} ended as {state.status}"
    return text if dead is None else f"{text}: {dead.task_name} {dead.id}: {dead.error}"


class _JsonView:
    """A JSON object for each change of a node, and one at the end."""

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: WorkflowState, changed: Sequence[WorkflowNode]) -> None:
        for node in changed:
            click.echo(json.dumps({"workflow": state.id, **asdict(node)}))

    def end(self, state: WorkflowState, last: TaskState[bytes]) -> None:
        result = None if last.result is None else json_value(last.result, last.serializer)
        ending = {"workflow": state.id, "status": state.status, "result": result}
        click.echo(json.dumps(ending))


class _LineView:
    """A line for each change of a node, and one at the end."""

    def __init__(self, console: Console, clock: BrokerClock) -> None:
        self._console = console
        self._clock = clock
        self._begun: set[str] = set()

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: WorkflowState, changed: Sequence[WorkflowNode]) -> None:
        for node in changed:
            words = [node.id, node.task_name, node_status(node).plain, node.error or ""]
            if node.id not in self._begun:
                words.append(after_text(node, state.id))
            self._begun.add(node.id)
            self._print(words)

    def end(self, state: WorkflowState, last: TaskState[bytes]) -> None:
        self._print(["workflow", state.id, state.status.value, _result(last)])

    def _print(self, words: Sequence[str]) -> None:
        text = " ".join(word for word in words if word)
        print_line(self._console, f"{clock_text(self._clock.now())} {text}")


class _LiveView:
    """The nodes, one a line, as many as the terminal has room for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=True, refresh_per_second=10)

    def screen(self) -> AbstractContextManager[object]:
        return self._live

    def show(self, state: WorkflowState, changed: Sequence[WorkflowNode]) -> None:
        self._live.update(_table(state, max(3, self._console.height - _OTHER_LINES)))

    def end(self, state: WorkflowState, last: TaskState[bytes]) -> None:
        if last.result is not None:
            print_line(self._console, _result(last))


def _table(state: WorkflowState, rows: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(safe(state.id), status_text(state.status), Text(counts_text(state), style="dim"))
    shown = most_urgent(state.nodes, rows)
    for row in node_rows(state, shown):
        table.add_row(*row)
    rest = [node for number, node in enumerate(state.nodes) if number not in {*shown}]
    if rest:
        table.add_row(Text(f"… {rest_text(rest)}", style="dim"))
    return table


def _result(last: TaskState[bytes]) -> str:
    if last.result is None:
        return ""
    return printable(f"result {shown_result(last, _SHOWN_RESULT)}")
