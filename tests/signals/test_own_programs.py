"""Signals to programs of their own that run workers, Apps and schedulers."""

import signal

import pytest

from tests.signals.programs import Program, Start

pytestmark = pytest.mark.slow

TERM, INT = signal.SIGTERM, signal.SIGINT
BOTH = [TERM, INT]
PROGRAM = ("-m", "tests.signals.own_program")

RUNS = ["worker", "app", "scheduler"]

STUCK = "not ended within 5 s of a second signal: ending the process"


async def twice(program: Program, where: str, number: signal.Signals = TERM) -> None:
    """Send two signals."""
    await program.told(where)
    program.signal(number)
    await program.told("heard")
    await program.later()
    program.signal(number)


class TestGivenBack:
    """`own_program` compares the handlers afterwards, and sends itself one more signal."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @pytest.mark.parametrize("handlers", ["python", "loop"])
    @pytest.mark.parametrize("what", RUNS)
    async def test_the_handlers_of_the_program_are_called_and_are_as_before(
        self, start: Start, what: str, handlers: str, loop: str
    ) -> None:
        program = await start(*PROGRAM, what, handlers, loop)
        await program.told("begun")
        program.signal(TERM)
        assert await program.end() == 0
        assert "as before" in program.log()
        assert program.log().count("heard SIGTERM") == 2

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("what", RUNS)
    async def test_a_program_without_handlers_goes_on_after_it(
        self, start: Start, what: str, number: signal.Signals
    ) -> None:
        program = await start(*PROGRAM, what, "none", "asyncio")
        await program.told("begun")
        program.signal(number)
        assert await program.end() == 0
        assert "as before" in program.log()

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_runs_at_once_and_after_one_another(self, start: Start, loop: str) -> None:
        program = await start(*PROGRAM, "workers", "python", loop)
        await program.told("begun", 2)
        program.signal(TERM)
        await program.told("begun", 3)
        program.signal(INT)
        assert await program.end() == 0
        assert "as before" in program.log()
        assert program.log().count("left") == 3


class TestPhases:
    """Each phase of a run ends at a signal, at the latest at a second one."""

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("what", ["worker", "app"])
    async def test_a_start_ends_at_the_first_one(
        self, start: Start, what: str, number: signal.Signals
    ) -> None:
        program = await start(*PROGRAM, what, "none", "asyncio", STAY="start")
        await program.told("in start")
        program.signal(number)
        assert await program.end() == 0
        assert "jobs: stopped while starting" in program.log()
        assert "begun" not in program.log()

    @pytest.mark.parametrize("phase", ["run", "middleware"])
    @pytest.mark.parametrize("what", ["worker", "app"])
    async def test_a_drain_ends_at_the_second_one(
        self, start: Start, what: str, phase: str
    ) -> None:
        program = await start(*PROGRAM, what, "python", "asyncio", STAY=phase)
        await twice(program, f"in {phase}")
        assert await program.end() == 0
        log = program.log()
        assert "jobs: requeueing 1 tasks" in log
        assert log.index(f"{phase} is cut") < log.index("left") < log.index("as before")

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("what", ["worker", "app"])
    async def test_the_exit_of_a_lifespan_ends_at_the_second_one(
        self, start: Start, what: str, number: signal.Signals
    ) -> None:
        program = await start(*PROGRAM, what, "none", "asyncio", STAY="exit")
        await program.told("begun")
        program.signal(number)
        await program.told("in exit")
        program.signal(number)
        assert await program.end() == 0
        assert "jobs: stopped while leaving its lifespan" in program.log()
        assert "as before" in program.log()

    async def test_the_exit_ends_soon_if_the_second_one_came_before(self, start: Start) -> None:
        program = await start(*PROGRAM, "worker", "python", "asyncio", STAY="run,exit")
        await twice(program, "in run")
        assert await program.end() == 0
        log = program.log()
        assert log.index("in exit") < log.index("exit is cut") < log.index("as before")

    @pytest.mark.parametrize("what", ["worker", "app"])
    @pytest.mark.parametrize(
        ("phase", "how"), [("start", "block"), ("start", "swallow"), ("exit", "block")]
    )
    async def test_what_cannot_be_cut_ends_with_the_process(
        self, start: Start, what: str, phase: str, how: str
    ) -> None:
        program = await start(*PROGRAM, what, "none", "asyncio", STAY=phase, HOW=how)
        await program.told("in start" if phase == "start" else "begun")
        program.signal(TERM)
        # A blocked loop tells nothing of the first one, and the two must not be taken for one.
        await program.told("start is cut" if how == "swallow" else f"in {phase}")
        await program.later()
        program.signal(TERM)
        assert await program.end() == 0
        assert STUCK in program.log()

    async def test_a_task_that_blocks_the_loop_ends_with_the_process(self, start: Start) -> None:
        program = await start(*PROGRAM, "worker", "python", "asyncio", STAY="run", HOW="block")
        await twice(program, "in run")
        assert await program.end() == 0
        assert "the event loop is still blocked by jobs:work" in program.log()


class TestEmbedded:
    """`async with` handles no signals: the program around it does."""

    @pytest.mark.parametrize("what", RUNS)
    @pytest.mark.parametrize("handlers", ["python", "loop"])
    async def test_only_the_program_hears_signals(
        self, start: Start, what: str, handlers: str
    ) -> None:
        program = await start(*PROGRAM, f"embedded {what}", handlers, "asyncio")
        await program.told("entered")
        program.signal(TERM)
        assert await program.end() == 0
        assert "as before" in program.log()

    @pytest.mark.parametrize("what", RUNS)
    async def test_without_handlers_it_ends_as_any_program(self, start: Start, what: str) -> None:
        program = await start(*PROGRAM, f"embedded {what}", "none", "asyncio")
        await program.told("entered")
        program.signal(TERM)
        assert await program.end() == -TERM

    @pytest.mark.parametrize("what", RUNS)
    async def test_ctrl_c_leaves_the_block(self, start: Start, what: str) -> None:
        program = await start(*PROGRAM, f"embedded {what}", "none", "asyncio")
        await program.told("entered")
        program.signal(INT)
        assert await program.end() in {-INT, 1}
        log = program.log()
        assert log.index("over") < log.index("KeyboardInterrupt")
        assert ("left" in log) == (what != "scheduler")


class TestOtherSignals:
    """LTQ leaves them alone: they end the process at once, and leases bring its tasks back."""

    @pytest.mark.parametrize(
        "number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGKILL]
    )
    async def test_they_end_the_process_at_once(self, start: Start, number: signal.Signals) -> None:
        program = await start(*PROGRAM, "worker", "none", "asyncio", STAY="run")
        await program.told("in run")
        program.signal(number)
        assert await program.end() == -number
        assert "left" not in program.log()
