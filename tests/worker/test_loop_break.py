"""Finding out which run broke an event loop."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import ltq
from ltq._worker.loop_break import LoopBreak
from ltq.brokers.memory import MemoryBroker
from ltq.names import new_id
from ltq.state import Status
from ltq.testing.conformance._worker.broken_loop import child, forgotten, gather, group

pytestmark = pytest.mark.slow

Run = Callable[[Coroutine[Any, Any, None]], None]


def loops() -> dict[str, Run]:
    found: dict[str, Run] = {"asyncio": asyncio.run}
    try:
        import uvloop
    except ImportError:
        return found
    return {**found, "uvloop": uvloop.run}


@pytest.mark.parametrize("run", loops().values(), ids=[*loops()])
@pytest.mark.parametrize("break_it", [gather, group, child, forgotten])
def test_the_culprit_fails_in_any_event_loop(
    run: Run, break_it: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    broker = MemoryBroker(f"memory://{new_id()}")
    worker = ltq.Worker("mail", broker=broker)
    sent: list[ltq.Handle[None]] = []

    @worker.task
    async def fail() -> None:
        await break_it()

    async def main() -> None:
        sent.append(await fail.send())
        await worker.run()

    async def state() -> ltq.TaskState[None]:
        return await sent[0].state()

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        run(main())
    assert asyncio.run(state()).status is Status.FAILED


def look_after(main: Callable[[], Coroutine[Any, Any, None]]) -> LoopBreak:
    """What is found out about a loop that broke."""
    found: list[LoopBreak] = []

    async def watched() -> None:
        found.append(LoopBreak())
        found[0].start()
        await asyncio.sleep(0)
        await main()

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        asyncio.run(watched())
    return found[0]


def test_a_program_that_leaves_kills_nobody() -> None:
    async def main() -> None:
        sys.exit(3)

    found = look_after(main)
    assert isinstance(found.error, SystemExit)
    assert not found.kills


async def test_nor_does_one_that_is_interrupted() -> None:
    found = LoopBreak()
    found.error = KeyboardInterrupt()  # without a frame of anybody's code
    assert not found.kills


async def test_if_the_culprit_is_not_known_it_may_be_a_task() -> None:
    found = LoopBreak()
    found.error = SystemExit()
    assert found.kills


async def test_an_error_that_was_handled_before_is_none() -> None:
    try:
        sys.exit(1)
    except SystemExit:
        found = LoopBreak()
        found.look()
    assert found.error is None
    assert not found.kills
