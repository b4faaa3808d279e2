"""Carries out the faults of a timeline, and notes what was really done, and when."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import redis

from devtools.chaos.squad import Squad
from devtools.chaos.stage import Stage
from devtools.chaos.timeline import Fault, Kind, Timeline

DROP_SHARE = 0.1


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
        self._stage = stage
        self._squad = squad
        self.done: list[Done] = []
        self._ways: dict[Kind, Callable[[Fault], Awaitable[bool]]] = {
            "kill": self._kill,
            "term": self._term,
            "stop": self._stop,
            "redis": self._redis,
            "reset": self._reset,
            "hole": self._hole,
            "drop": self._drop,
            "flush": self._flush,
            "unlisten": self._unlisten,
            "pause": self._pause,
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
            of_worker = fault.kind in ("kill", "term", "stop")
            self.done.append(Done(fault.kind, began, time.time(), pid if of_worker else 0))

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

    async def _redis(self, fault: Fault) -> bool:
        self._stage.server.kill()
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self._stage.server.start)
        await self._stage.answers()
        return True

    async def _reset(self, _: Fault) -> bool:
        self._stage.proxy.reset_all()
        return True

    async def _hole(self, fault: Fault) -> bool:
        self._stage.proxy.mode = "hole"
        await asyncio.sleep(fault.seconds)
        self._stage.proxy.mode = "pass"
        return True

    async def _drop(self, fault: Fault) -> bool:
        self._stage.proxy.drop_share = DROP_SHARE
        await asyncio.sleep(fault.seconds)
        self._stage.proxy.drop_share = 0.0
        return True

    async def _flush(self, _: Fault) -> bool:
        return self._told("SCRIPT", "FLUSH")

    async def _unlisten(self, _: Fault) -> bool:
        return self._told("CLIENT", "KILL", "TYPE", "pubsub")

    async def _pause(self, fault: Fault) -> bool:
        if not self._told("CLIENT", "PAUSE", str(int(1000 * fault.seconds)), "ALL"):
            return False
        await asyncio.sleep(fault.seconds)
        return True

    def _told(self, *command: str) -> bool:
        """Whether the server carried out a command: it may be away just now."""
        with suppress(redis.RedisError):
            self._stage.admin.execute_command(*command)
            return True
        return False
