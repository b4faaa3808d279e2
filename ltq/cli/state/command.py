"""`ltq state`: everything about tasks."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.text import Text

from ltq._display.encoded import Encoded
from ltq.broker import Broker
from ltq.broker.flows import waits_for_others
from ltq.cli._broker import find_task, open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import print_fields, print_line, print_traceback
from ltq.cli._format import state_fields, state_json
from ltq.cli._live.nodes import node_rows
from ltq.cli._options import broker_url_option, ids_argument, json_option
from ltq.cli._show_each import Shown, show_each
from ltq.errors import TaskNotFoundError
from ltq.names import is_name
from ltq.state import TaskState
from ltq.workflow import WorkflowState
from ltq.workflow.layout import counts_text, most_urgent, rest_text
from ltq.workflow.tree import find_tree

_MOST_NODES = 50
"""Most nodes of a workflow that are shown; `--json` has all of them."""


@click.command()
@ids_argument
@click.option(
    "--queue",
    metavar="QUEUE",
    shell_complete=complete_queue,
    help="Look only in the namespace of this queue.",
)
@json_option
@broker_url_option
@click.pass_context
def state(
    ctx: click.Context,
    ids: tuple[str, ...],
    queue: str | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Show everything that is known about tasks.

    A delayed task shows when it is due. The arguments are shown until the task ends, and those of a
    failed one as long as its dead letter is kept. Of a task in a workflow all nodes are shown, too,
    with their statuses and how far a map is. Ages are by the broker's clock. With --json each task
    is a line. The exit code is 1 if any of them is not found.

    \b
    Examples:
      ltq state 0c8bdd0dee0ab0ad55f2f5a7 --json
      ltq state order-7 order-8
    """
    if not asyncio.run(_show(ids, queue, broker_url, as_json=as_json)):
        ctx.exit(1)


@dataclass(frozen=True, slots=True)
class _Found:
    state: TaskState[bytes]
    body: Encoded | None
    tree: WorkflowState | None


async def _show(ids: Sequence[str], queue: str | None, url: str | None, *, as_json: bool) -> bool:
    async with open_broker(url) as broker:

        async def to_console(console: Console, found: _Found) -> None:
            now = await broker.time()
            print_fields(console, state_fields(found.state, now, found.body))
            print_traceback(console, found.state.traceback)
            if found.tree is not None:
                _print_tree(console, found.tree)

        shown = Shown(
            find=lambda task_id: _find(broker, task_id, queue),
            missing=TaskNotFoundError,
            to_json=_json,
            to_console=to_console,
        )
        return await show_each(ids, shown, as_json=as_json)


async def _tree(broker: Broker, state: TaskState[bytes]) -> WorkflowState | None:
    """The workflow that a task is part of; None if it is in none, or is spoilt."""
    if is_name(state.queue):
        with suppress(TaskNotFoundError):
            tree = await find_tree(broker, state.queue, state.id)
            return None if tree is None else await tree.read()
    return None


def _json(found: _Found) -> str:
    fields = json.loads(state_json(found.state, body=found.body))
    return json.dumps({**fields, "workflow": None if found.tree is None else asdict(found.tree)})


def _print_tree(console: Console, tree: WorkflowState) -> None:
    print_line(console, "")
    head = f"workflow {tree.id} {tree.status.value}, {counts_text(tree)}"
    print_line(console, head)
    shown = most_urgent(tree.nodes, _MOST_NODES)
    rows = [*node_rows(tree, shown)]
    first, second = (max(row[column].cell_len for row in rows) for column in (0, 1))
    for name, status, more in rows:
        name.pad_right(first - name.cell_len)
        status.pad_right(second - status.cell_len)
        print_line(console, Text("  ").join([Text(), name, status, more]))
    rest = [node for number, node in enumerate(tree.nodes) if number not in {*shown}]
    if rest:
        print_line(console, f"  … {rest_text(rest)}")


async def _find(broker: Broker, task_id: str, queue: str | None) -> _Found:
    """Return a task, with its call if that is still there. Raises `TaskNotFoundError`."""
    state = await find_task(broker, task_id, queue)
    return _Found(state, await _body(broker, state), await _tree(broker, state))


async def _body(broker: Broker, state: TaskState[bytes]) -> Encoded | None:
    if not is_name(state.queue):  # its record is spoilt
        return None
    if state.status.is_dead:
        return await _dead_body(broker, state)
    if waits_for_others(state):
        return None
    data = await broker.body(state.queue, state.id)
    return None if data is None else Encoded(data, state.serializer)


async def _dead_body(broker: Broker, state: TaskState[bytes]) -> Encoded | None:
    with suppress(TaskNotFoundError):
        letter = await broker.dead_letter(state.queue, state.id)
        return None if letter.body is None else Encoded(letter.body, letter.serializer)
    return None
