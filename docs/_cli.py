"""Writes `docs/cli.md` from the commands themselves: `python -m docs._cli`.

A test compares the page with what this makes, so it cannot go stale.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from docs._wrap import wrapped
from ltq.cli import main

PAGE = Path(__file__).parent / "cli.md"
HEAD = "| command | |\n| --- | --- |"
MADE = (
    "This page is made from the commands themselves (`python -m docs._cli`); `ltq COMMAND --help` "
    "says the same. [Operations](operations.md) shows how to use them; "
    "[errors](errors.md#exit-codes-of-ltq) lists the exit codes."
)
SHARED = (
    "`ltq --version` prints the versions of LTQ, Python and redis-py. Commands that need a broker "
    "take `--broker-url` (or `--redis-url`), a URL or the `@name` of a "
    "[named broker](broker.md#named-brokers); without it they use `LTQ_BROKER_URL`, else the "
    "primary one of these, else `redis://localhost:6379`. A `TIME` or `AGE` is seconds, or a text "
    "such as `30s`, `15m`, `2h`, `7d`."
)


COMPLETION = """## Completion

A shell can complete commands, options, names of queues, names of brokers after `--broker-url`, and
targets such as `jobs:worker` and `jobs:worker.add`. The queues are those that the broker knows; if
it does not answer within a second, there are none. The brokers are those of `ltq.toml` and of the
environment. The targets are read from the Python files below the current directory, which are not
imported.

| shell | what to do, once |
| --- | --- |
| bash 4.4 or newer | put `eval "$(_LTQ_COMPLETE=bash_source ltq)"` into `~/.bashrc` |
| zsh | put `eval "$(_LTQ_COMPLETE=zsh_source ltq)"` into `~/.zshrc`, below `compinit` |
| fish | run `_LTQ_COMPLETE=fish_source ltq > ~/.config/fish/completions/ltq.fish` |"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command with its words; a group comes before its commands."""
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
    """What it does, and its examples."""
    text = inspect.cleandoc(command.help or "")
    text, _, examples = re.sub(r"\n*\x08\n", "\n\n", text).partition("\n\nExample")
    lines = examples.partition("\n")[2]
    return "\n\n".join(map(wrapped, text.split("\n\n"))), inspect.cleandoc(lines)


def usage(words: str, command: click.Command) -> str:
    with click.Context(command, info_name=f"ltq {words}") as context:
        return " ".join(command.get_usage(context).removeprefix("Usage: ").split())


def options(command: click.Command) -> Iterator[str]:
    """The rows of a table."""
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
    """The options of the hidden command that a group runs when none of its own is named."""
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
    """The whole page."""
    found = list(commands(main))
    rows = [
        f"| [`ltq {words}`](#ltq-{words.replace(' ', '-')}) | {command.get_short_help_str(100)} |"
        for words, command in found
    ]
    sections = [section(words, command) for words, command in found]
    head = ["# Command line", wrapped(MADE), wrapped(SHARED), "\n".join([HEAD, *rows])]
    return "\n\n".join([*head, *sections, COMPLETION]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
