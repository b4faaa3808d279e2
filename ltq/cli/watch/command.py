"""`ltq watch`: tasks, live until they end."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import replace
from typing import Protocol, cast

import click
from rich.console import Console

from ltq._aio.service import cancel_all, spawn
from ltq._display.encoded import json_value, result_text
from ltq.broker import Broker
from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, tell
from ltq.cli._format import (
    clock_text,
    failure_text,
    progress_text,
    shown_result,
    state_json,
    state_since,
)
from ltq.cli._live.clock import BrokerClock
from ltq.cli._live.line import LiveLine
from ltq.cli._options import (
    MIN_TIMEOUT,
    broker_url_option,
    duration_from,
    ids_argument,
    json_option,
)
from ltq.cli.watch._items import Item, NewItems
from ltq.cli.watch._tree import watch_tree
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.state import Status, TaskState
from ltq.workflow.tree import WorkflowTree, find_tree

_SHOWN_RESULT = 200
"""Most characters of a result that are shown; `ltq state` shows all of it."""


class _View(Protocol):
    shows_changes_only: bool
    """Whether a state is left out that differs from the last one by its items alone."""

    def screen(self) -> AbstractContextManager[object]:
        """Return the context to be in while states arrive."""
        ...

    def show(self, state: TaskState[bytes]) -> None:
        """Show a new state."""
        ...

    def show_item(self, state: TaskState[bytes], item: Item) -> None:
        """Show an item of the task's stream."""
        ...


@click.command()
@ids_argument
@click.option(
    "--timeout",
    type=duration_from(MIN_TIMEOUT),
    metavar="TIME",
    help="Give up after TIME, like 90 or 15m.",
)
@click.option("--no-tree", is_flag=True, help="Follow only the task, not its workflow.")
@json_option
@broker_url_option
@click.pass_context
def watch(
    ctx: click.Context,
    ids: tuple[str, ...],
    timeout: float | None,
    no_tree: bool,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Follow tasks live until they end.

    On a terminal one task is a line that is updated, with the time for which it has been waiting or
    running. Elsewhere, or of several tasks, each state is a line that begins with the time, with
    --json a JSON object. So is each item of a task that yields some; on a terminal an item is a
    line above. One task that is part of a workflow stands for all of it: each node is a line, with
    its status and how far a map is, until all nodes have ended; nodes that need attention come
    first where there is no room for all. Times are by the broker's clock. The exit code is 0 if all
    tasks completed, else 1.

    \b
    Examples:
      ltq watch 0c8bdd0dee0ab0ad55f2f5a7 --timeout 60
      ltq watch order-7 order-8
    """
    watching = _watch(ids, timeout, broker_url, as_json=as_json, shows_tree=not no_tree)
    if not asyncio.run(watching):
        ctx.exit(1)


async def _watch(
    ids: Sequence[str],
    timeout: float | None,
    url: str | None,
    *,
    as_json: bool,
    shows_tree: bool,
) -> bool:
    """Follow tasks, and say which did not complete. Return whether all did."""
    async with open_broker(url) as broker:
        if shows_tree and len(ids) == 1 and (tree := await _tree(broker, ids[0])) is not None:
            error = await watch_tree(broker, tree, timeout, open_console(), as_json=as_json)
            if error is not None:
                tell(error)
            return error is None
        view = _view(await BrokerClock.read(broker), len(ids), as_json=as_json)
        with view.screen():
            watching = [spawn(_follow(broker, one, timeout, view), name="ltq-watch") for one in ids]
            try:
                errors = await asyncio.gather(*watching)
            finally:
                await cancel_all(watching)
    for error in filter(None, errors):
        tell(error)
    return not any(errors)


async def _tree(broker: Broker, task_id: str) -> WorkflowTree | None:
    """The workflow of a task; None if it is in none, or there is no such task."""
    with suppress(TaskNotFoundError):
        state = await find_task(broker, task_id)
        return await find_tree(broker, state.queue, task_id)
    return None


async def _follow(
    broker: Broker, task_id: str, timeout: float | None, view: _View
) -> Exception | None:
    """Follow a task. Return why it is not known to have completed."""
    items, last = NewItems(broker), cast(TaskState[bytes] | None, None)
    try:
        state = await find_task(broker, task_id)
        states = broker.watch(state.queue, task_id, timeout=timeout)
        async with aclosing(states):
            async for state in states:
                async for item in items.of(state):
                    view.show_item(state, item)
                bare = replace(state, items=0)
                if bare != last or not view.shows_changes_only:
                    last = bare
                    view.show(state)
    except (TaskNotFoundError, ResultTimeoutError) as error:
        return error
    return None if state.status is Status.COMPLETED else CommandError(failure_text(state))


def _view(clock: BrokerClock, count: int, *, as_json: bool) -> _View:
    console = open_console()
    if as_json:
        return _JsonView()
    if console.is_interactive and count == 1:
        return _LiveView(console, clock)
    return _LineView(console, clock, names_task=count > 1)


class _JsonView:
    """A JSON object for each state, and for each item."""

    shows_changes_only = True

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        click.echo(state_json(state))

    def show_item(self, state: TaskState[bytes], item: Item) -> None:
        place = {"id": state.id, "attempt": item.attempt, "number": item.number}
        click.echo(json.dumps({**place, "item": json_value(*item.value)}))


class _LineView:
    """A line for each state, and for each item."""

    shows_changes_only = True

    def __init__(self, console: Console, clock: BrokerClock, *, names_task: bool) -> None:
        self._console = console
        self._clock = clock
        self._names_task = names_task

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        words = [self._time(state), state.id if self._names_task else "", state.status.value]
        if state.dequeue_count > 1:
            words.append(f"(run {state.dequeue_count})")
        words += [progress_text(state.progress), _result(state)]
        print_line(self._console, " ".join(word for word in words if word))

    def show_item(self, state: TaskState[bytes], item: Item) -> None:
        name = f"{state.id} " if self._names_task else ""
        print_line(self._console, f"{clock_text(self._clock.now())} {name}item {_text(item)}")

    def _time(self, state: TaskState[bytes]) -> str:
        """When the task came into this state, or reported its progress."""
        reports = state.progress is not None and not state.status.is_final
        since = None if reports else state_since(state)
        return clock_text(self._clock.now() if since is None else since)


class _LiveView:
    """One line that is updated, the items above it and the result below it."""

    shows_changes_only = False

    def __init__(self, console: Console, clock: BrokerClock) -> None:
        self._console = console
        self._line = LiveLine(console, clock)

    def screen(self) -> AbstractContextManager[object]:
        return self._line.screen()

    def show(self, state: TaskState[bytes]) -> None:
        self._line.show(state)
        if state.status.is_final and state.result is not None:
            print_line(self._console, _result(state))

    def show_item(self, state: TaskState[bytes], item: Item) -> None:
        print_line(self._console, _text(item))


def _text(item: Item) -> str:
    data, serializer = item.value
    return result_text(data, _SHOWN_RESULT, serializer=serializer)


def _result(state: TaskState[bytes]) -> str:
    if state.result is None:
        return ""
    return f"result {shown_result(state, _SHOWN_RESULT)}"
