"""Programs that are forked are what `python` would have started."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.forks import ROOT, STDOUT, run_python, start_python

ENV = {"PYTHONPATH": str(ROOT), "PATH": os.defpath, "GREETING": "hello"}

TELLS = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["GREETING"], sys.stdin.read(), __name__)
print("to stderr", file=sys.stderr)
sys.exit(3)
"""


def real(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=ENV,
        input="typed",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("how", ["-c", "-m", "file"])
def test_arguments_streams_and_exit_code_are_the_same(how: str, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    program = {"-c": ["-c", TELLS], "-m": ["-m", "tells"], "file": ["tells.py"]}[how]
    expected = real(*program, "a", "b c", cwd=tmp_path)
    done = run_python(*program, "a", "b c", cwd=tmp_path, env=ENV, text="typed")
    assert (done.returncode, done.stdout, done.stderr) == (
        (expected.returncode, expected.stdout, expected.stderr)
    )
    assert done.returncode == 3


def test_an_error_is_a_traceback_and_1(tmp_path: Path) -> None:
    done = run_python("-c", "1 / 0", cwd=tmp_path, env=ENV)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_warnings_may_be_errors(tmp_path: Path) -> None:
    env = {**ENV, "PYTHONWARNINGS": "error"}
    done = run_python("-c", "import warnings; warnings.warn('x')", cwd=tmp_path, env=env)
    assert done.stderr.endswith("UserWarning: x\n")


async def test_signals_arrive_and_end_it(tmp_path: Path) -> None:
    waits = "import signal; print('ready', flush=True); signal.pause()"
    forked = await start_python("-c", waits, cwd=tmp_path, env=ENV, stderr=STDOUT)
    assert forked.stdout is not None
    assert await asyncio.wait_for(forked.stdout.readline(), 10) == b"ready\n"
    assert forked.returncode is None
    forked.terminate()
    assert await asyncio.wait_for(forked.wait(), 10) == -signal.SIGTERM


async def test_several_run_at_once(tmp_path: Path) -> None:
    command = ("-c", "import os; print(os.getpid())")
    started = [await start_python(*command, cwd=tmp_path, env=ENV) for _ in range(5)]
    outputs = [(await one.communicate())[0] for one in started]
    assert [int(out) for out in outputs] == [one.pid for one in started]
    assert len({one.pid for one in started}) == 5
