"""`ltq dead`: failed and rejected tasks: looked at, enqueued again, removed."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import TypeVar

import click

from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._options import (
    broker_url_option,
    confirm,
    duration,
    is_asked,
    json_option,
    open_broker,
    yes_option,
)
from ltq.cli.dead._rows import count_letters, letter_value, print_letter, print_letters
from ltq.cli.dead._selection import Choice, Wanted, checked, choose, counts, find, matching, pick
from ltq.logger import printable
from ltq.message import DeadLetter, Published

F = TypeVar("F", bound=Callable[..., object])

_REASONS = {
    Published.EXISTS: "it waits or runs already",
    Published.EMPTY: "its dead letter has no body",
    Published.GONE: "its dead letter has gone meanwhile",
}


def _filters(function: F) -> F:
    """The options that say which letters."""
    for option in (
        click.option(
            "--older-than", type=duration, metavar="AGE", help="Dead for so long: 30s, 2h, 7d."
        ),
        click.option("--error", metavar="TEXT", help="With this in the error, in any case."),
        click.option("--task", metavar="TASK", help="Of this task only."),
    ):
        function = option(function)
    return function


_all_option = click.option("--all", "every", is_flag=True, help="All, of QUEUE or of all queues.")


class _Commands(click.Group):
    """Commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Commands, invoke_without_command=True)
@click.pass_context
def dead(ctx: click.Context) -> None:
    """Look at failed and rejected tasks, enqueue them again, or remove them.

    Dead letters stay for 7 days, the newest 10 000 of each queue.

    \b
    Examples:
      ltq dead list
      ltq dead retry --all github:fetch --error timeout
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@dead.command("list", short_help="List dead letters, the newest first.")
@click.argument("queue", required=False)
@_filters
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Show the newest N.",
)
@json_option
@broker_url_option
def list_letters(
    queue: str | None,
    task: str | None,
    error: str | None,
    older_than: float | None,
    limit: int,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """List dead letters, of a queue or of all, the newest first.

    \b
    Example:
      ltq dead list --task github:fetch --older-than 2h --json
    """
    wanted = Wanted(task, error, older_than)
    found = asyncio.run(_list(checked(queue), wanted, limit + 1, broker_url))
    shown = found[:limit]
    if as_json:
        click.echo(json.dumps([letter_value(letter) for letter in shown]))
    elif shown:
        print_letters(open_console(), shown)
    else:
        print_line(open_console(), "no dead letters")
    if len(found) > limit:
        click.echo(f"ltq: there are more than these {limit}: --limit shows them", err=True)


async def _list(queue: str | None, wanted: Wanted, limit: int, url: str | None) -> list[DeadLetter]:
    async with open_broker(url) as broker:
        found: list[DeadLetter] = []
        for name, count in await counts(broker, queue):
            async with aclosing(matching(broker, name, count, wanted)) as letters:
                left = limit
                while left and (letter := await anext(letters, None)) is not None:
                    found.append(letter)
                    left -= 1
        return sorted(found, key=lambda letter: letter.time, reverse=True)[:limit]


@dead.command(short_help="Show a dead letter and its traceback.")
@click.argument("task_id", metavar="ID")
@click.option("--queue", metavar="QUEUE", help="Look in this queue only.")
@json_option
@broker_url_option
def show(task_id: str, queue: str | None, as_json: bool, broker_url: str | None) -> None:
    """Show a dead letter: arguments, error, traceback, times and counts.

    \b
    Example:
      ltq dead show 0c8bdd0dee0ab0ad55f2f5a7
    """
    letter = asyncio.run(_show(task_id, checked(queue), broker_url))
    if as_json:
        click.echo(json.dumps(letter_value(letter)))
    else:
        print_letter(open_console(), letter)


async def _show(task_id: str, queue: str | None, url: str | None) -> DeadLetter:
    async with open_broker(url) as broker:
        return await find(broker, task_id, queue)


@dead.command(short_help="Enqueue tasks again as they were sent.")
@click.argument("names", metavar="ID... | --all [QUEUE]", nargs=-1)
@_all_option
@_filters
@json_option
@broker_url_option
@click.pass_context
def retry(
    ctx: click.Context,
    names: tuple[str, ...],
    every: bool,
    task: str | None,
    error: str | None,
    older_than: float | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Enqueue tasks again as they were sent, and print how many.

    Their dead letters go. A task with the id of one that waits or runs already is left alone, and
    so told; the exit code is 1 then.

    \b
    Examples:
      ltq dead retry 0c8bdd0dee0ab0ad55f2f5a7
      ltq dead retry --all github:fetch --error timeout
    """
    choice = choose(names, every, Wanted(task, error, older_than))
    answers = asyncio.run(_retry(choice, broker_url))
    created = [answer for _, answer in answers if answer is Published.CREATED]
    if as_json:
        click.echo(json.dumps([{"id": task_id, "answer": answer} for task_id, answer in answers]))
    else:
        print_line(open_console(), f"{count_tasks(len(created))} enqueued again")
    left = [
        (task_id, answer)
        for task_id, answer in answers
        if answer in _REASONS and not (every and answer is Published.GONE)
    ]
    for task_id, answer in left:
        line = f"ltq: task {printable(task_id)} was not enqueued again: {_REASONS[answer]}"
        click.echo(line, err=True)
    if left:
        ctx.exit(1)


async def _retry(choice: Choice, url: str | None) -> list[tuple[str, Published]]:
    async with open_broker(url) as broker:
        answers: list[tuple[str, Published]] = []
        for queue, ids in (await pick(broker, choice)).items():
            oldest_first = ids if choice.ids else ids[::-1]
            replies = await broker.replay(queue, oldest_first)
            answers += zip(oldest_first, replies, strict=True)
        return answers


@dead.command(short_help="Remove dead letters for good.")
@click.argument("names", metavar="ID... | --all [QUEUE]", nargs=-1)
@_all_option
@_filters
@yes_option
@json_option
@broker_url_option
def purge(
    names: tuple[str, ...],
    every: bool,
    task: str | None,
    error: str | None,
    older_than: float | None,
    yes: bool,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Remove dead letters for good, and print how many.

    Asks first if stdin is a terminal.

    \b
    Examples:
      ltq dead purge 0c8bdd0dee0ab0ad55f2f5a7
      ltq dead purge --all github:fetch --older-than 2d --yes
    """
    choice = choose(names, every, Wanted(task, error, older_than))
    if is_asked(yes):
        question = asyncio.run(_question(choice, broker_url))
        if question:
            confirm(question)
    removed = asyncio.run(_purge(choice, broker_url))
    told = json.dumps({"removed": removed})
    click.echo(told if as_json else f"{count_letters(removed)} removed")


async def _question(choice: Choice, url: str | None) -> str:
    """What to ask; empty if there is nothing to remove."""
    if choice.ids:
        return f"Remove {count_letters(len(choice.ids))} for good?"
    async with open_broker(url) as broker:
        count = sum(count for _, count in await counts(broker, choice.queue))
    if count == 0:
        return ""
    of = f"{count_letters(count)} of {choice.queue or 'all queues'}"
    return f"Remove {of} for good{'' if choice.wanted.is_all else ', those that match'}?"


async def _purge(choice: Choice, url: str | None) -> int:
    age = choice.wanted.older_than
    async with open_broker(url) as broker:
        if not choice.ids and choice.wanted == Wanted(older_than=age):  # no need to read them
            queues = [queue for queue, _ in await counts(broker, choice.queue)]
            return sum([await broker.purge(queue, older_than=age or 0.0) for queue in queues])
        picked = await pick(broker, choice)
        return sum([await broker.purge(queue, ids) for queue, ids in picked.items()])
