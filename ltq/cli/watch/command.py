"""`ltq watch`: one task, live until it ends."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import click
from rich.console import Console

from ltq.cli._broker import find_task, open_broker
from ltq.cli._console import open_console, print_line
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._format import (
    clock_text,
    failure_text,
    progress_text,
    result_text,
    state_json,
    state_since,
)
from ltq.cli._options import broker_url_option, duration, json_option
from ltq.cli.watch._clock import BrokerClock
from ltq.cli.watch._live import LiveLine
from ltq.state import Status, TaskState

_SHOWN_RESULT = 200
"""Most characters of a result that are shown; `ltq state` shows all of it."""


class _View(Protocol):
    def screen(self) -> AbstractContextManager[object]:
        """Return the context to be in while states arrive."""
        ...

    def show(self, state: TaskState[bytes]) -> None:
        """Show a new state."""
        ...


@click.command()
@click.argument("task_id", metavar="ID")
@click.option(
    "--timeout", type=duration, metavar="TIME", help="Give up after TIME, like 90 or 15m."
)
@json_option
@broker_url_option
def watch(task_id: str, timeout: float | None, as_json: bool, broker_url: str | None) -> None:
    """Follow a task live until it ends.

    On a terminal it updates one line, with the time for which the task has been waiting or running.
    Elsewhere it prints each state as a line that begins with the time, with --json as a JSON
    object. Times are by the broker's clock. The exit code is 0 if the task completed, else 1.

    \b
    Example:
      ltq watch 0c8bdd0dee0ab0ad55f2f5a7 --timeout 60
    """
    if timeout == 0:
        raise WrongUseError("--timeout must be more than 0")
    final = asyncio.run(_watch(task_id, timeout, broker_url, as_json=as_json))
    if final.status is not Status.COMPLETED:
        raise CommandError(failure_text(final))


async def _watch(
    task_id: str, timeout: float | None, url: str | None, *, as_json: bool
) -> TaskState[bytes]:
    async with open_broker(url) as broker:
        state = await find_task(broker, task_id)
        view = _view(await BrokerClock.read(broker), as_json=as_json)
        states = broker.watch(state.queue, task_id, timeout=timeout)
        try:
            with view.screen():
                async for state in states:
                    view.show(state)
        finally:
            await states.aclose()
        return state


def _view(clock: BrokerClock, *, as_json: bool) -> _View:
    console = open_console()
    if as_json:
        return _JsonView()
    return _LiveView(console, clock) if console.is_interactive else _LineView(console, clock)


class _JsonView:
    """A JSON object for each state."""

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        click.echo(state_json(state))


class _LineView:
    """A line for each state."""

    def __init__(self, console: Console, clock: BrokerClock) -> None:
        self._console = console
        self._clock = clock

    def screen(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, state: TaskState[bytes]) -> None:
        words = [self._time(state), state.status.value]
        if state.dequeue_count > 1:
            words.append(f"(run {state.dequeue_count})")
        words += [progress_text(state.progress), _result(state)]
        print_line(self._console, " ".join(word for word in words if word))

    def _time(self, state: TaskState[bytes]) -> str:
        """When the task came into this state, or reported its progress."""
        reports = state.progress is not None and not state.status.is_final
        since = None if reports else state_since(state)
        return clock_text(self._clock.now() if since is None else since)


class _LiveView:
    """One line that is updated, and the result below it."""

    def __init__(self, console: Console, clock: BrokerClock) -> None:
        self._console = console
        self._line = LiveLine(console, clock)

    def screen(self) -> AbstractContextManager[object]:
        return self._line.screen()

    def show(self, state: TaskState[bytes]) -> None:
        self._line.show(state)
        if state.status.is_final and state.result is not None:
            print_line(self._console, _result(state))


def _result(state: TaskState[bytes]) -> str:
    if state.result is None:
        return ""
    return f"result {result_text(state.result, _SHOWN_RESULT)}"
