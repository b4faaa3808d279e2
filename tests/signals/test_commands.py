"""Signals to `ltq run` and `ltq schedule`, in each phase, with one process and with several."""

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.signals.programs import A_FEW, ROOT, Program, Start

pytestmark = pytest.mark.slow

TERM, INT = signal.SIGTERM, signal.SIGINT
BOTH = [TERM, INT]

LTQ = ("-m", "ltq")
RUN = (*LTQ, "run", "tests.signals.jobs:worker")
APP = (*LTQ, "run", "--app", "tests.signals.jobs:app")
SCHEDULE = (*LTQ, "schedule", "tests.signals.jobs:scheduler")
PROCESSES = (*RUN, "--processes", "2")
RELOAD = (*RUN, "--reload")

ALONE = [
    pytest.param(RUN, id="alone"),
    pytest.param((*RUN, "--with-scheduler", "--health-port", "0"), id="with servers"),
    pytest.param(APP, id="app"),
]
SEVERAL = [pytest.param(PROCESSES, id="processes"), pytest.param(RELOAD, id="reload")]


class TestImport:
    """While the user's module is imported."""

    @pytest.mark.parametrize(
        "command",
        [RUN, APP, SCHEDULE, PROCESSES],
        ids=["alone", "app", "schedule", "processes"],
    )
    @pytest.mark.parametrize("how", ["", "swallow"])
    async def test_sigterm_ends_it_with_0(
        self, start: Start, command: Sequence[str], how: str
    ) -> None:
        program = await start(*command, STAY="import", HOW=how)
        await program.told("in import")
        program.signal(TERM)
        assert await program.end() == 0
        assert program.log().split() == ["in", "import"]

    @pytest.mark.parametrize(
        "command",
        [RUN, APP, SCHEDULE, PROCESSES, (*LTQ, "send", "tests.signals.jobs:worker.work")],
        ids=["alone", "app", "schedule", "processes", "send"],
    )
    async def test_ctrl_c_ends_it_with_130(self, start: Start, command: Sequence[str]) -> None:
        program = await start(*command, STAY="import")
        await program.told("in import")
        program.signal(INT)
        assert await program.end() == 130
        assert program.log().splitlines() == ["in import", "ltq: stopped"]

    @pytest.mark.parametrize(("number", "code"), [(TERM, 0), (INT, 130)])
    async def test_a_second_one_ends_it_at_once(
        self, start: Start, number: signal.Signals, code: int
    ) -> None:
        program = await start(*RUN, STAY="import", HOW="linger")
        await program.told("in import")
        program.signal(number)
        await program.told("lingering")
        program.signal(number)
        assert await program.end() == code

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("command", SEVERAL)
    async def test_several_processes_end_with_0(
        self, start: Start, command: Sequence[str], number: signal.Signals
    ) -> None:
        program = await start(*command, STAY="import", HOW="child")
        await program.told("in import", 2 if command is PROCESSES else 1)
        program.signal(number)
        assert await program.end() == 0
        assert "Traceback" not in program.log()


class TestStart:
    """While the lifespan begins."""

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("command", [*ALONE, *SEVERAL])
    async def test_the_first_one_ends_it(
        self, start: Start, command: Sequence[str], number: signal.Signals
    ) -> None:
        program = await start(*command, STAY="start")
        await program.told("in start", 2 if command is PROCESSES else 1)
        program.signal(number)
        assert await program.end() == 0
        assert "worker jobs has stopped" in program.log()


class TestRunning:
    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("command", [*ALONE, *SEVERAL])
    async def test_it_stops(
        self, start: Start, command: Sequence[str], number: signal.Signals
    ) -> None:
        program = await start(*command)
        await program.told("begun", 2 if command is PROCESSES else 1)
        program.signal(number)
        assert await program.end() == 0
        assert "worker jobs has stopped" in program.log()

    @pytest.mark.parametrize("number", BOTH)
    async def test_a_scheduler_stops(self, start: Start, number: signal.Signals) -> None:
        program = await start(*SCHEDULE)
        await program.told("next at")
        program.signal(number)
        assert await program.end() == 0
        assert "scheduler has stopped" in program.log()

    @pytest.mark.parametrize("command", ALONE)
    async def test_other_signals_end_it_at_once(self, start: Start, command: Sequence[str]) -> None:
        program = await start(*command)
        await program.told("begun")
        program.signal(signal.SIGHUP)
        assert await program.end() == -signal.SIGHUP
        assert "left" not in program.log()

    @pytest.mark.parametrize("command", SEVERAL)
    async def test_processes_stop_when_their_supervisor_is_killed(
        self, start: Start, command: Sequence[str]
    ) -> None:
        program = await start(*command)
        await program.told("begun", 2 if command is PROCESSES else 1)
        program.signal(signal.SIGKILL)
        count = 2 if command is PROCESSES else 1
        await program.told("the supervisor has ended: stopping", count, by_children=True)
        await program.told("worker jobs has stopped", count, by_children=True)


async def end_at_the_second(program: Program, first: str, second: str) -> None:
    await program.told(first)
    program.signal(TERM)
    await program.told(second)
    await program.later()
    program.signal(TERM)
    assert await program.end() == 0


class TestSecondSignal:
    @pytest.mark.parametrize("command", [*ALONE, SEVERAL[0]])
    async def test_it_ends_a_drain(self, start: Start, command: Sequence[str]) -> None:
        program = await start(*command, STAY="run")
        await end_at_the_second(program, "in run", "waiting for 1 running tasks")
        assert "requeueing 1 tasks" in program.log()

    @pytest.mark.parametrize("command", [*ALONE, SEVERAL[0]])
    async def test_it_ends_the_exit_of_a_lifespan(
        self, start: Start, command: Sequence[str]
    ) -> None:
        program = await start(*command, STAY="exit")
        await end_at_the_second(program, "begun", "in exit")
        assert "jobs: stopped while leaving its lifespan" in program.log()
        assert "worker jobs has stopped" in program.log()

    @pytest.mark.parametrize("command", [RUN, APP, PROCESSES], ids=["alone", "app", "processes"])
    async def test_it_ends_what_blocks_that_exit_with_the_process(
        self, start: Start, command: Sequence[str]
    ) -> None:
        program = await start(*command, STAY="exit", HOW="block")
        await end_at_the_second(program, "begun", "in exit")
        assert "not ended within 5 s of a second signal" in program.log()

    async def test_a_process_that_does_not_react_is_killed(self, start: Start) -> None:
        program = await start(*PROCESSES)
        await program.told("begun", 2)
        (pid, _) = re.findall(r"runs as pid (\d+)", program.log())
        os.kill(int(pid), signal.SIGSTOP)
        program.signal(TERM)
        await program.told("worker jobs has stopped")  # that of the other one
        await program.later()
        program.signal(TERM)
        assert await program.end() == 0
        assert f"pid {pid} has not ended within 10 s: killing it" in program.log()

    async def test_reload_needs_none(self, start: Start) -> None:
        """It gives each process a few seconds, since somebody waits in front of it."""
        program = await start(*RELOAD, STAY="exit", HOW="block")
        await program.told("begun")
        program.signal(TERM)
        assert await program.end() == 0


class TestBrokenLoop:
    """A task that ends the event loop ends the process unasked: that is no success."""

    @pytest.mark.parametrize("command", [RUN, APP], ids=["alone", "app"])
    @pytest.mark.parametrize(("given", "code"), [("0", 1), ("3", 3)])
    async def test_sys_exit(
        self, start: Start, command: Sequence[str], given: str, code: int
    ) -> None:
        program = await start(*command, STAY="leave", HOW=given)
        assert await program.end() == code
        assert ("has ended unexpectedly" in program.log()) == (code == 1)

    @pytest.mark.parametrize(("given", "code"), [("0", 1), ("3", 3)])
    async def test_sys_exit_in_a_scheduler(self, start: Start, given: str, code: int) -> None:
        program = await start(*LTQ, "schedule", "tests.signals.jobs:ending", HOW=given)
        assert await program.end() == code
        assert ("the scheduler has ended unexpectedly" in program.log()) == (code == 1)


class TestHandlersOfTheModule:
    async def test_one_that_leaves_is_called_and_leaves_after_the_drain(
        self, start: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.py").write_text(
            "import signal, sys\n"
            "from tests.signals.jobs import tell, worker\n"
            "def leave(*_):\n"
            "    tell('asked')\n"
            "    sys.exit(7)\n"
            "signal.signal(signal.SIGTERM, leave)\n"
        )
        program = await start(*LTQ, "run", "mine:worker")
        await program.told("begun")
        program.signal(TERM)
        assert await program.end() == 7
        log = program.log()
        assert log.index("asked") < log.index("left") < log.index("worker jobs has stopped")


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        *((RUN, closed) for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")),
        (PROCESSES, "<&- >&- 2>&-"),
    ],
)
async def test_without_standard_streams_it_ends_as_with_them(
    command: Sequence[str], closed: str
) -> None:
    """On uvloop, which aborts the process if one of its own sockets has such a number."""
    line = shlex.join([sys.executable, *command, "--burst"])
    process = await asyncio.create_subprocess_shell(
        f"exec {line} {closed}", cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    async with asyncio.timeout(A_FEW):
        assert await process.wait() == 0
