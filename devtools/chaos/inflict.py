"""Carries out the faults of a timeline, and notes what was really done, and when."""

import asyncio
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from devtools.chaos.squad import Squad
from devtools.chaos.stage import Stage, Way
from devtools.chaos.timeline import OF_WORKERS, Fault, Kind, Timeline


@dataclass(frozen=True)
class Done:
    """A fault that was carried out, and the process it was done to, if to one."""

    kind: Kind
    began: float
    ended: float
    pid: int = 0


class Inflictor:
    """Hurts a stage and its squad."""

    def __init__(self, stage: Stage, squad: Squad) -> None:
        self._squad = squad
        self.done: list[Done] = []
        self._ways: Mapping[Kind, Way] = {
            "kill": self._kill,
            "term": self._term,
            "stop": self._stop,
            **stage.ways,
        }

    async def play(self, timeline: Timeline) -> None:
        """All faults at their times; back when the last one is over."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in timeline.faults:
                await asyncio.sleep(began + fault.at - time.monotonic())
                group.create_task(self._inflict(fault))
            await asyncio.sleep(began + timeline.seconds - time.monotonic())

    async def _inflict(self, fault: Fault) -> None:
        worker = self._squad.current[fault.target]
        began, pid = time.time(), worker.pid if worker is not None else 0
        if await self._ways[fault.kind](fault):
            hurt = pid if fault.kind in OF_WORKERS else 0
            self.done.append(Done(fault.kind, began, time.time(), hurt))

    async def _kill(self, fault: Fault) -> bool:
        self._squad.kill(fault.target)
        return True

    async def _term(self, fault: Fault) -> bool:
        return self._squad.term(fault.target)

    async def _stop(self, fault: Fault) -> bool:
        worker = self._squad.current[fault.target]
        if worker is None:
            return False
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        worker.signal(signal.SIGCONT)
        return True
