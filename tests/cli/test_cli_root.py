"""The command itself: help, version, and wrong use told in one line."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from devtools.servers import free_port
from ltq.cli import main
from ltq.cli._lazy import LazyCommand
from tests.cli.calls import call_ltq
from tests.cli.processes import ROOT, run_ltq

COMMANDS = [
    *("demo", "run", "send", "stats", "size", "workers", "state", "watch", "cancel", "clear"),
    *("check", "doctor", "repair"),
]


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands_in_order_of_use(option: str) -> None:
    result = CliRunner().invoke(main, [option])
    assert result.exit_code == 0
    listed = result.output.partition("Commands:\n")[2].partition("\n\n")[0]
    words = [line.split()[0] for line in listed.splitlines()]
    assert [word for word in words if word in COMMANDS] == COMMANDS


def test_help_tells_what_each_command_does_in_80_columns() -> None:
    output = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    listed = output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(main.commands)
    assert [line for line in listed if not re.fullmatch(r"  \w+ +[A-Z].*[^.]\.", line)] == []


@pytest.mark.parametrize("command", main.commands.values(), ids=list(main.commands))
def test_a_command_not_imported_yet_is_the_one_it_says(command: click.Command) -> None:
    assert isinstance(command, LazyCommand)
    assert command.load().name == command.name


IMPORTED = """
import sys
from ltq.cli import main
try:
    main(sys.argv[1:], prog_name="ltq")
finally:
    print("imported:", *{"redis", "rich", "croniter", "ltq.brokers.redis"} & {*sys.modules})
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["frobnicate"]])
def test_help_and_wrong_use_import_no_command(arguments: list[str]) -> None:
    """Importing Redis, rich and the rest takes longer than everything before."""
    command = [sys.executable, "-c", IMPORTED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.splitlines()[-1] == "imported:"


def test_help_names_the_exit_codes() -> None:
    lines = CliRunner().invoke(main, ["--help"]).output.splitlines()
    codes = {line.split()[0] for line in lines[lines.index("  Exit codes:") + 1 :] if line.strip()}
    assert {"0", "1", "2", "130"} <= codes


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"  ltq {command}" in result.output.partition("Example")[2]


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_each_command_with_a_broker_takes_both_names_of_its_url(command: str) -> None:
    output = CliRunner().invoke(main, [command, "--help"]).output
    assert "--broker-url, --redis-url URL" in output


@pytest.mark.parametrize(
    "command",
    [*COMMANDS[2:], "dead list", "dead show", "dead retry", "dead purge"]
    + [f"schedule {verb}" for verb in ("list", "put", "pause", "resume", "trigger", "remove")],
)
def test_each_command_that_answers_may_answer_in_json(command: str) -> None:
    assert "--json" in CliRunner().invoke(main, [*command.split(), "--help"]).output


def test_without_a_command_it_shows_its_help_and_fails() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")


async def test_the_module_is_the_command() -> None:
    done = await run_ltq("--version")
    assert done.code == 0
    assert done.out.startswith("ltq ")
    assert len(done.out.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["--nothing"],
        ["run"],
        ["run", "jobs"],
        ["run", ":worker"],
        ["run", "jobs:"],
        ["run", "jobs:worker", "--concurrency", "0"],
        ["run", "jobs:worker", "--concurrency", "many"],
        ["run", "jobs:worker", "--log-level", "loud"],
        ["run", "jobs:worker", "--app", "jobs:app"],
        ["run", "jobs:worker", "--broker-url", "ftp://example.org"],
        ["size"],
        ["size", "one", "two"],
        ["size", "not/a/queue"],
        ["size", "mail:send", "--broker-url", "nonsense"],
        ["clear", "a b"],
        ["state"],
        ["state", "1", "--queue", "a b"],
        ["watch", "1", "--timeout", "0"],
        ["watch", "1", "--timeout", "nan"],
        ["watch", "1", "--timeout", "inf"],
        ["cancel"],
        ["send"],
        ["send", "jobs:worker"],
        ["check", "--max-wait", "long"],
        ["doctor", "--scan", "-1"],
        ["repair", "a/b"],
        ["stats", "--every", "0x"],
        ["stats", "--every", "3"],
        ["stats", "--watch", "--every", "0"],
        ["top", "--every", "0"],
        ["top", "--every", "0.4"],
        ["metrics", "--timeout", "0"],
        ["check", "--timeout", "0"],
        ["run", "jobs:worker", "--health-within", "0"],
        ["schedule", "frob"],
        ["dead", "frob"],
        ["send", "jobs:worker.add", "--args", "{}"],
        ["run", "jobs:worker", "--log-format", "xml"],
        ["run", "jobs:worker", "--health-port", "x"],
        ["demo", "/does/not/exist"],
        ["demo", "--workers", "0"],
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("ltq: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_pause_that_is_too_short_says_how_long_it_may_be() -> None:
    result = CliRunner().invoke(main, ["top", "--every", "0"])
    assert "'--every': '0' is too short: at least 0.5 s" in result.stderr


def test_a_password_in_a_wrong_url_is_not_shown() -> None:
    result = CliRunner().invoke(main, ["stats", "--broker-url", "ftp://me:secret@example.org/"])
    assert result.exit_code == 2
    assert "secret" not in result.output
    assert "ftp://example.org/" in result.output


def test_control_characters_of_arguments_are_escaped() -> None:
    result = CliRunner().invoke(main, ["run", "a\x1b[31m\nb"])
    assert (
        result.stderr == r"ltq: 'a\x1b[31m\nb' is not of the form MODULE:NAME, like jobs:worker"
        "\n"
    )


@pytest.mark.parametrize("command", main.commands)
def test_each_command_is_in_the_readme_or_in_operations(command: str) -> None:
    pages = [(ROOT / name).read_text("utf-8") for name in ("README.md", "docs/operations.md")]
    assert re.search(rf"\bltq {command}\b", "\n".join(pages))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_shells_complete_it(shell: str) -> None:
    done = await call_ltq(env={"_LTQ_COMPLETE": f"{shell}_source"})
    assert done.code == 0
    assert "_LTQ_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["st"], {"stats", "state"}),
        (["dead", ""], {"list", "show", "retry", "purge"}),
        (["schedule", ""], {"list", "put", "pause", "resume", "trigger", "remove"}),
        (["schedule", "--lo"], {"--log-level", "--log-format"}),
        (["schedule", "--h"], {"--help"}),
        (["schedule", "--log-level", "de"], {"debug"}),
        (["schedule", "list", "plan:tick", "--c"], {"--count"}),
        (["send", "jobs:worker.add", "--pr"], {"--priority"}),
    ],
)
def test_a_shell_completes(
    words: list[str], expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no targets are there
    found = ShellComplete(main, {}, "ltq", "_LTQ_COMPLETE").get_completions(words[:-1], words[-1])
    assert [item.value for item in found if item.value in expected] != []
    assert {item.value for item in found} == expected


@pytest.mark.parametrize("words", [[], ["dead"], ["schedule"]])
def test_what_a_shell_tells_of_commands_is_not_cut(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no targets are there
    found = ShellComplete(main, {}, "ltq", "_LTQ_COMPLETE").get_completions(words, "")
    assert [item.help for item in found if not item.help or item.help.endswith("...")] == []


@pytest.mark.slow
async def test_without_redis_each_command_fails_with_one_line_without_the_password() -> None:
    """All at once, as each waits for as long as a call to the broker may take."""
    port = free_port()
    url = f"redis://me:swordfish@127.0.0.1:{port}/0"
    commands = (["stats"], ["doctor"], ["check", "--timeout", "30"], ["dead", "list"])
    done = await asyncio.gather(*(run_ltq(*words, "--broker-url", url) for words in commands))
    for one in done:
        assert (one.code, one.out) == (1, "")
        assert one.err.startswith(f"ltq: Redis at 127.0.0.1:{port}/0 ")
        assert len(one.err.splitlines()) == 1
        assert "swordfish" not in one.err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "ltq", "stats", "--broker-url", "memory://"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False, env=environment
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"ltq: cannot write: ")
    assert b"Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_no_error_worth_telling() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ltq", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writer)
    assert done.stderr == b""
