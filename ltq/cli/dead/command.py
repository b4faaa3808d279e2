"""`ltq dead`: list, show, retry and purge failed and rejected tasks."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import click
from rich.console import Console

from ltq.cli._broker import open_broker
from ltq.cli._completion.queues import complete_queue, complete_queue_of_all
from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._lazy import OrderedGroup, show_help
from ltq.cli._options import (
    broker_url_option,
    confirm,
    duration,
    ids_argument,
    json_option,
    must_confirm,
    yes_option,
)
from ltq.cli._show_each import Shown, show_each
from ltq.cli.dead import _view
from ltq.cli.dead._selection import (
    Filter,
    NoDeadLetterError,
    Selection,
    check_queue,
    count_by_queue,
    find,
    matching,
    parse_selection,
    select,
)
from ltq.cli.dead._view import count_dead_letters
from ltq.logger import printable
from ltq.message import DeadLetter, Published

F = TypeVar("F", bound=Callable[..., object])

_NOT_RETRIED = {
    Published.EXISTS: "a task with this id waits or runs already",
    Published.EMPTY: "its arguments were not kept",
    Published.GONE: "its dead letter is gone",
}
"""Why a task was not enqueued again."""


def _filter_options(function: F) -> F:
    """The options that filter dead letters."""
    for option in (
        click.option(
            "--older-than",
            type=duration,
            metavar="AGE",
            help="Only those that died longer ago than AGE, like 30s, 2h or 7d.",
        ),
        click.option(
            "--error",
            metavar="TEXT",
            help="Only those with TEXT in their error; case does not matter.",
        ),
        click.option("--task", metavar="TASK", help="Only those of TASK."),
    ):
        function = option(function)
    return function


_names_argument = click.argument(
    "names", metavar="ID... | --all [QUEUE]", nargs=-1, shell_complete=complete_queue_of_all
)
_all_option = click.option(
    "--all", "select_all", is_flag=True, help="All dead letters, of QUEUE or of all queues."
)


@click.group(cls=OrderedGroup, invoke_without_command=True)
@click.pass_context
def dead(ctx: click.Context) -> None:
    """List, show, retry or purge failed and rejected tasks.

    Such a task is kept as a dead letter for 7 days. Each queue keeps its newest 10 000.

    \b
    Examples:
      ltq dead list
      ltq dead retry --all github:fetch --error timeout
    """
    if ctx.invoked_subcommand is None:
        show_help(ctx)


@dead.command("list", short_help="List dead letters, the newest first.")
@click.argument("queue", required=False, shell_complete=complete_queue)
@_filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="List at most N.",
)
@json_option
@broker_url_option
def list_(
    queue: str | None,
    task: str | None,
    error: str | None,
    older_than: float | None,
    limit: int,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """List dead letters, the newest first, of one queue or of all.

    \b
    Example:
      ltq dead list --task github:fetch --older-than 2h --json
    """
    wanted = Filter(task, error, older_than)
    found, now = asyncio.run(_list(check_queue(queue), wanted, limit + 1, broker_url))
    shown = found[:limit]
    if as_json:
        click.echo(json.dumps([_view.as_json(one) for one in shown]))
    elif shown:
        _view.print_table(open_console(), shown, now)
    else:
        print_line(open_console(), "no dead letters")
    if len(found) > limit:
        click.echo(f"ltq: only the newest {limit} are shown: --limit N shows more", err=True)


async def _list(
    queue: str | None, wanted: Filter, limit: int, url: str | None
) -> tuple[list[DeadLetter], float]:
    """Return the newest `limit` dead letters that match, and the broker's time."""
    async with open_broker(url) as broker:
        found: list[DeadLetter] = []
        for name, count in await count_by_queue(broker, queue):
            async with aclosing(matching(broker, name, count, wanted)) as dead_letters:
                left = limit
                while left and (dead_letter := await anext(dead_letters, None)) is not None:
                    found.append(dead_letter)
                    left -= 1
        newest = sorted(found, key=lambda one: one.time, reverse=True)[:limit]
        return newest, await broker.time()


@dead.command(short_help="Show dead letters and their tracebacks.")
@ids_argument
@click.option(
    "--queue", metavar="QUEUE", shell_complete=complete_queue, help="Look only in this queue."
)
@json_option
@broker_url_option
@click.pass_context
def show(
    ctx: click.Context,
    ids: tuple[str, ...],
    queue: str | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Show dead letters with their arguments, errors, tracebacks, times and counts.

    With --json each one is a line. The exit code is 1 if any of them is not found.

    \b
    Example:
      ltq dead show 0c8bdd0dee0ab0ad55f2f5a7
    """
    if not asyncio.run(_show(ids, check_queue(queue), broker_url, as_json=as_json)):
        ctx.exit(1)


async def _show(ids: Sequence[str], queue: str | None, url: str | None, *, as_json: bool) -> bool:
    async with open_broker(url) as broker:

        async def to_console(console: Console, dead_letter: DeadLetter) -> None:
            _view.print_dead_letter(console, dead_letter, await broker.time())

        shown = Shown(
            find=lambda task_id: find(broker, task_id, queue),
            missing=NoDeadLetterError,
            to_json=lambda dead_letter: json.dumps(_view.as_json(dead_letter)),
            to_console=to_console,
        )
        return await show_each(ids, shown, as_json=as_json)


@dead.command(short_help="Enqueue tasks again as they were sent.")
@_names_argument
@_all_option
@_filter_options
@json_option
@broker_url_option
@click.pass_context
def retry(
    ctx: click.Context,
    names: tuple[str, ...],
    select_all: bool,
    task: str | None,
    error: str | None,
    older_than: float | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Enqueue tasks again as they were sent, and print how many.

    Their dead letters are removed. A dead letter stays if a task with its id waits or runs already;
    then the exit code is 1.

    \b
    Examples:
      ltq dead retry 0c8bdd0dee0ab0ad55f2f5a7
      ltq dead retry --all github:fetch --error timeout
    """
    selection = parse_selection(names, select_all, Filter(task, error, older_than))
    answers = asyncio.run(_retry(selection, broker_url))
    if as_json:
        click.echo(json.dumps([{"id": task_id, "answer": answer} for task_id, answer in answers]))
    else:
        retried = sum(answer is Published.CREATED for _, answer in answers)
        print_line(open_console(), f"{count_tasks(retried)} enqueued again")
    not_retried = [
        (task_id, _NOT_RETRIED[answer])
        for task_id, answer in answers
        if answer in _NOT_RETRIED and not (select_all and answer is Published.GONE)
    ]
    for task_id, reason in not_retried:
        line = f"ltq: task {printable(task_id)} was not enqueued again: {reason}"
        click.echo(line, err=True)
    if not_retried:
        ctx.exit(1)


async def _retry(selection: Selection, url: str | None) -> list[tuple[str, Published]]:
    async with open_broker(url) as broker:
        answers: list[tuple[str, Published]] = []
        for queue, ids in (await select(broker, selection)).items():
            oldest_first = ids if selection.ids else ids[::-1]
            replies = await broker.replay(queue, oldest_first)
            answers += zip(oldest_first, replies, strict=True)
        return answers


@dead.command(short_help="Remove dead letters permanently.")
@_names_argument
@_all_option
@_filter_options
@yes_option
@json_option
@broker_url_option
def purge(
    names: tuple[str, ...],
    select_all: bool,
    task: str | None,
    error: str | None,
    older_than: float | None,
    yes: bool,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Remove dead letters permanently, and print how many.

    Asks for confirmation if stdin is a terminal.

    \b
    Examples:
      ltq dead purge 0c8bdd0dee0ab0ad55f2f5a7
      ltq dead purge --all github:fetch --older-than 2d --yes
    """
    selection = parse_selection(names, select_all, Filter(task, error, older_than))
    if must_confirm(yes):
        question = asyncio.run(_question(selection, broker_url))
        if question:
            confirm(question)
    removed = asyncio.run(_purge(selection, broker_url))
    if as_json:
        click.echo(json.dumps({"removed": removed}))
    else:
        click.echo(f"{count_dead_letters(removed)} removed")


async def _question(selection: Selection, url: str | None) -> str:
    """Return what to ask; an empty text if there is nothing to remove."""
    if selection.ids:
        return f"Remove {count_dead_letters(len(selection.ids))} permanently?"
    async with open_broker(url) as broker:
        count = sum(count for _, count in await count_by_queue(broker, selection.queue))
    if count == 0:
        return ""
    those = f"{count_dead_letters(count)} in {selection.queue or 'all queues'}"
    if selection.wanted.is_empty:
        return f"Remove {those} permanently?"
    return f"Of {those}, remove those that match permanently?"


async def _purge(selection: Selection, url: str | None) -> int:
    age = selection.wanted.older_than
    async with open_broker(url) as broker:
        if not selection.ids and selection.wanted == Filter(older_than=age):  # need not be read
            queues = [queue for queue, _ in await count_by_queue(broker, selection.queue)]
            return sum([await broker.purge(queue, older_than=age or 0.0) for queue in queues])
        selected = await select(broker, selection)
        return sum([await broker.purge(queue, ids) for queue, ids in selected.items()])
