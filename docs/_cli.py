"""Writes `docs/cli.md` from the commands themselves: `python docs/_cli.py`.

A test compares the page with the output of this program, so it cannot go stale.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from ltq.cli import main

PAGE = Path(__file__).parent / "cli.md"
HEAD = "| command | |\n| --- | --- |"
INTRO = """\
This page is generated from the commands (`python docs/_cli.py`); `ltq COMMAND --help` prints the
same. [Operations](operations.md) shows how to use them, [errors](errors.md#exit-codes-of-ltq) lists
the exit codes.

`ltq --version` prints the versions of LTQ, Python and redis-py. Commands that talk to a broker use
`--broker-url` (or `--redis-url`), else `LTQ_BROKER_URL`, else `redis://localhost:6379`. A `TIME` or
`AGE` is seconds, or like `30s`, `15m`, `2h`, `7d`."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its words; a group comes before its commands."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            _, command, _ = group.resolve_command(context, [name])
            assert command is not None
            if command.hidden:
                continue
            yield " ".join((*path, name)), command
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))


def help_of(command: click.Command) -> tuple[str, str]:
    """Return the description and the examples of a command."""
    text = inspect.cleandoc(command.help or "")
    text, _, examples = re.sub(r"\n*\x08\n", "\n\n", text).partition("\n\nExample")
    return text, inspect.cleandoc(examples.partition("\n")[2])


def usage(words: str, command: click.Command) -> str:
    with click.Context(command, info_name=f"ltq {words}") as context:
        return " ".join(command.get_usage(context).removeprefix("Usage: ").split())


def options(command: click.Command) -> Iterator[str]:
    """Yield a table row for each option."""
    with click.Context(command) as context:
        for parameter in [*command.params, *implied(command)]:
            record = parameter.get_help_record(context)
            if record is None or not isinstance(parameter, click.Option):
                continue
            names, text = (" ".join(part.split()) for part in record)
            if isinstance(parameter.type, click.Choice):
                words = ", ".join(f"`{choice}`" for choice in parameter.type.choices)
                names, text = names.partition(" [")[0], f"{text} One of {words}.".strip()
            yield f"| `{names}` | {text} |"


def implied(command: click.Command) -> list[click.Parameter]:
    """Return the options of the hidden command that a group runs by default."""
    own = command.commands.values() if isinstance(command, click.Group) else ()
    return [parameter for one in own if one.hidden for parameter in one.params]


def section(words: str, command: click.Command) -> str:
    text, examples = help_of(command)
    parts = [f"## ltq {words}", text, f"```text\n{usage(words, command)}\n```"]
    rows = list(options(command))
    if rows:
        parts.append("\n".join(["| option | |", "| --- | --- |", *rows]))
    if examples:
        parts.append(f"```bash\n{examples}\n```")
    return "\n\n".join(parts)


def page() -> str:
    """Return the whole page."""
    found = list(commands(main))
    rows = [
        f"| [`ltq {words}`](#ltq-{words.replace(' ', '-')}) | {command.get_short_help_str(100)} |"
        for words, command in found
    ]
    sections = [section(words, command) for words, command in found]
    parts = ["# Command line", INTRO, "\n".join([HEAD, *rows]), *sections]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
