"""What the processes of `ltq run` have of the Python that runs the command."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from ltq.cli.run._interpreter import interpreter_options, same_program
from tests.cli.processes import ROOT

MODULE = """
import json, os, sys
import ltq

worker = ltq.Worker("mine", broker_url="memory://mine")


@worker.task
def f() -> None: ...


if os.environ.get("LTQ_SUPERVISED"):
    flags = [sys.flags.optimize, sys.flags.bytes_warning, sys.flags.no_user_site]
    known = {"flags": flags, "warnings": sys.warnoptions[:2], "x": sys._xoptions}
    print(json.dumps({**known, "unbuffered": sys.stdout.write_through}))
"""


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["-m", "ltq", "run", "-OO"], []),
        (["-mltq", "run"], []),
        (["-OO", "-m", "ltq"], ["-O", "-O"]),
        (["-OOBm", "ltq"], ["-O", "-O", "-B"]),
        (["-W", "error", "-Wignore::X", "-mltq"], ["-W", "error", "-W", "ignore::X"]),
        (["-bX", "dev", "-Xutf8=1", "x.py", "-v"], ["-b", "-X", "dev", "-X", "utf8=1"]),
        (["-Im", "ltq"], ["-I"]),
        (["-ixu", "/bin/ltq", "run"], ["-u"]),
        (["--check-hash-based-pycs", "never", "-c", "1"], ["--check-hash-based-pycs", "never"]),
        (["-c", "main()", "-m"], []),
        (["-"], []),
        ([], []),
    ],
)
def test_which_of_its_arguments_are_options(arguments: list[str], options: list[str]) -> None:
    assert interpreter_options(arguments) == options


RUN = ("run", "mine:worker", "--burst")


@pytest.mark.slow
@pytest.mark.parametrize("option", [("--processes", "2"), ("--reload",)], ids=["2", "reload"])
async def test_a_child_has_the_options_of_its_parent(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    flags = ["-OO", "-bb", "-u", "-s", "-W", "error", "-X", "dev", "-Xfaulthandler", "-Xutf8"]
    out = await asyncio.create_subprocess_exec(
        *(sys.executable, *flags, "-m", "ltq", *RUN, *option),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    told, _ = await out.communicate()
    assert out.returncode == 0
    assert json.loads(told.splitlines()[-1]) == {
        "flags": [2, 2, 1],
        "warnings": ["default", "error"],
        "x": {"dev": True, "faulthandler": True, "utf8": True},
        "unbuffered": True,
    }


@pytest.mark.parametrize(
    ("whole", "given", "expected"),
    [
        (["-X", "dev", "manage.py", "work", "-n"], ["manage.py", "work", "-n"], None),
        (["-m", "django", "work"], ["/lib/django/__main__.py", "work"], None),
        (["-c", "fork()"], ["manage.py", "work"], ["manage.py", "work"]),
    ],
)
def test_another_program_is_started_as_it_was(
    monkeypatch: pytest.MonkeyPatch, whole: list[str], given: list[str], expected: list[str] | None
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", *whole])
    monkeypatch.setattr(sys, "argv", given)
    command = same_program("--processes", "1")
    assert command == [sys.executable, *(expected or whole), "--processes", "1"]
