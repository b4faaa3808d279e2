"""Stopping a worker between two phases of its run."""

import asyncio
from typing import cast

from ltq._worker.lifecycle import Stopping
from ltq._worker.run import WorkerRun


class Run:
    """Notes how it is told to stop."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def stop(self, *, now: bool = False) -> None:
        self.told.append(now)


async def test_a_stop_that_comes_just_before_the_run_begins_reaches_it() -> None:
    stopping, run = Stopping("shop"), Run()
    stopping.signalled(False)  # as from another thread: what it has to do waits for the loop
    with stopping.phases(), stopping.running(cast(WorkerRun, run)):
        await asyncio.sleep(0)
        assert run.told == [False]


async def test_a_stop_before_that_is_told_when_it_begins() -> None:
    stopping, run = Stopping("shop"), Run()
    stopping.stop(now=False)
    await asyncio.sleep(0)
    with stopping.phases(), stopping.running(cast(WorkerRun, run)):
        assert run.told == [False]
