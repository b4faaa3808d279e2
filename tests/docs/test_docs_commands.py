"""The commands on the pages are those there are, and the page of the commands is what they say."""

import re
import shlex
from pathlib import Path

import click

from docs._cli import page as page_of_commands
from ltq.cli import main
from tests.docs.pages import DOCS, DOCUMENTS, commands_of, prose_of
from tests.for_each import for_each

INLINE = re.compile(r"`(ltq [^`]+)`")
PLACEHOLDERS = {"COMMAND", "..."}


def parse(words: list[str], group: click.Group = main) -> None:
    """Parse a command as the command line does, and run nothing."""
    hidden = [name for name, command in group.commands.items() if command.hidden]
    if words and words[0] not in group.commands and hidden:
        words = [*hidden, *words]  # what a group means when none of its own is named
    with click.Context(group) as context:
        name, command, rest = group.resolve_command(context, words)
    assert command is not None
    if isinstance(command, click.Group):
        parse(rest, command)
    else:
        command.make_context(name, rest)


def written(page: Path) -> list[str]:
    return sorted(set(commands_of(page)))


@for_each(
    "command",
    sorted({command for page in DOCUMENTS for command in written(page)}),
)
def test_a_command_is_taken(command: str) -> None:
    words = shlex.split(command.replace("~/Documents", "."), comments=True)[1:]
    if words != ["--version"]:
        parse(words)


@for_each("page", DOCUMENTS)
def test_commands_in_the_prose_are_there(page: Path) -> None:
    for command in INLINE.findall(prose_of(page)):
        words = shlex.split(command.split(" && ")[0])[1:]
        known: click.Command = main
        while words and isinstance(known, click.Group) and words[0] in known.commands:
            with click.Context(known) as context:
                _, found, words = known.resolve_command(context, words)
            assert found is not None
            known = found
        assert known is not main or words[0] in PLACEHOLDERS or words[0].startswith("-"), command
        options = {option for one in parameters(known) for option in one.opts}
        options |= {option for one in parameters(known) for option in one.secondary_opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options | {"--help", "--version"}, command


def parameters(command: click.Command) -> list[click.Parameter]:
    own = command.commands.values() if isinstance(command, click.Group) else ()
    return [*command.params, *(one for sub in own if sub.hidden for one in sub.params)]


def test_the_page_of_the_commands_is_what_they_say() -> None:
    stale = "stale: run `python -m docs._cli`"
    assert (DOCS / "cli.md").read_text("utf-8") == page_of_commands(), stale
