"""What Windows lacks is not needed to import LTQ, to send, or to run a worker in a program."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from ltq.cli.run import _asked

ROOT = Path(__file__).parent.parent

PROGRAM = """
import asyncio, importlib, os, pkgutil, signal, sys
import croniter  # it asks a process of its own what machine this is

for name in ("fcntl", "termios", "tty", "pty", "resource", "grp", "pwd", "uvloop"):
    sys.modules[name] = None  # importing it raises ImportError
for name in ("register_at_fork", "fork", "killpg", "getpgid", "setsid", "waitpid", "getuid"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGALRM", "pthread_sigmask"):
    delattr(signal, name)

import ltq

for module in pkgutil.walk_packages(ltq.__path__, "ltq."):
    if not module.name.startswith(("ltq.testing.conf", "ltq.testing.plugin", "ltq.__main__")):
        importlib.import_module(module.name)


class Loop(asyncio.SelectorEventLoop):
    def add_signal_handler(self, *args):
        raise NotImplementedError

    remove_signal_handler = add_reader = add_writer = remove_reader = add_signal_handler


worker = ltq.Worker("shop", broker_url="memory://windows")


@worker.task
async def double(number: int) -> int:
    return 2 * number


async def main() -> None:
    async with worker:
        assert await (await double.send(2)).result(timeout=5) == 4
        assert (await asyncio.to_thread(double.send_sync, 3)).id


with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(main())
ltq.close_sync()
"""


@pytest.mark.slow
def test_it_works_without_what_windows_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [(2, False), (1, True)], ids=["processes", "reload"])
def test_options_that_need_signals_say_so(
    monkeypatch: pytest.MonkeyPatch, options: tuple[int, bool]
) -> None:
    _asked._check_platform(*options)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(click.ClickException, match="Windows does not have"):
        _asked._check_platform(*options)
