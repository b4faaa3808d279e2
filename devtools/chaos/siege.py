"""The chaos run: a load of every kind of task, faults from a timeline, then the audit."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from devtools.chaos import remains
from devtools.chaos.audit import audit
from devtools.chaos.evidence import Evidence, gaps
from devtools.chaos.inflict import Inflictor
from devtools.chaos.load import NEIGHBOUR, SORTS, TOXIC, Load, Notes
from devtools.chaos.say import say, table
from devtools.chaos.squad import Squad
from devtools.chaos.stage import Stage
from devtools.chaos.steer import Steersman
from devtools.chaos.timeline import Timeline
from ltq.testing.conformance._support.eventually import eventually

DRAINED = 90.0
"""Seconds in which everything sent has to have ended when the faults are over."""

CONSUMING = 30.0
"""Seconds in which each worker has to consume when the faults are over."""

_SETTLED = 80.0
"""Seconds in which nothing is left: what dead workers left of workflows is looked for each
minute."""

_STEER = 0.1
"""Seconds between two pauses of queues, in the mean."""

_SHOWN = 50
_NEIGHBOURS = (NEIGHBOUR,) * 5


@dataclass(frozen=True)
class Report:
    """What came of a run."""

    violations: list[str]
    rows: list[tuple[str, object]]

    def show(self) -> None:
        table("chaos", self.rows)
        for violation in self.violations[:_SHOWN]:
            say(f"VIOLATION {violation}")
        if len(self.violations) > _SHOWN:
            say(f"and {len(self.violations) - _SHOWN} more")


class Siege:
    """One run of a timeline."""

    def __init__(self, stage: Stage, timeline: Timeline, *, pause: float, toxic: int) -> None:
        self._stage = stage
        self._timeline = timeline
        self._pause = pause
        self._toxic = toxic
        self._squad = Squad(stage, timeline.workers)
        self._load = Load(timeline.seed, [stage.direct, stage.remote])
        self._steersman = Steersman(timeline.seed, [stage.direct, stage.remote], self._load.notes)
        self._inflictor = Inflictor(stage, self._squad)
        self._violations: list[str] = []

    async def run(self) -> Report:
        """Faults, drain, audit."""
        asyncio.get_running_loop().set_exception_handler(self._complain)
        async with self._squad:
            await self._attack()
            awake = await self._all_consume()
            left = await self._load.finish(DRAINED)
            await self._check_hung(left)
            await self._check_remains()
            await self._squad.dismiss()
        evidence = Evidence(
            await self._stage.events(), self._load.notes, self._inflictor.done, self._squad.lives
        )
        self._violations += [f"worker {pid} hangs at SIGTERM" for pid in self._squad.hanging]
        self._violations += remains.complaints(self._stage.fleet.workers)
        self._violations += audit(evidence)
        return Report(self._violations, [*rows(evidence), ("all workers consume again (s)", awake)])

    async def _attack(self) -> None:
        self._load.start(self._pause)
        self._steersman.start(_STEER)
        poison = asyncio.create_task(self._send_poison())
        await self._inflictor.play(self._timeline)
        poison.cancel()
        await asyncio.gather(poison, return_exceptions=True)
        await self._load.stop()
        await self._steersman.stop()

    async def _send_poison(self) -> None:
        """Toxic tasks, spread over the time, each among tasks that do nobody harm."""
        for number in range(self._toxic):
            await asyncio.sleep(self._timeline.seconds / (self._toxic + 1))
            broker = self._stage.direct if number % 2 else self._stage.remote
            for sort in (*_NEIGHBOURS, TOXIC, *_NEIGHBOURS):
                await self._load.send(sort, broker)

    async def _all_consume(self) -> float:
        """Each worker there is begins a task; seconds until then."""
        began = time.time()
        slow = next(sort for sort in SORTS if sort.name == "slow")

        async def all_do() -> bool:
            for _ in range(8):
                await self._load.send(slow, self._stage.direct)
            await asyncio.sleep(0.2)
            current = {worker.pid for worker in self._squad.current if worker is not None}
            events = self._stage.ledger.since(line)
            return current <= {event.pid for event in events if event.time > began}

        line = self._stage.ledger.count()
        try:
            await eventually(all_do, CONSUMING)
        except AssertionError:
            lazy = {worker.pid for worker in self._squad.current if worker is not None}
            lazy -= {event.pid for event in self._stage.ledger.since(line)}
            self._violations.append(f"workers {sorted(lazy)} do not consume after the faults")
        return time.time() - began

    async def _check_hung(self, left: list[str]) -> None:
        """Whether those who were not answered wait for something that has ended."""
        for task_id in left:
            sent = self._load.notes.sent[task_id]
            (state,) = await self._stage.direct.states(sent.handle.queue, [task_id])
            told = "lost" if state is None else state.status.value
            self._violations.append(f"{task_id} has a waiter without an answer; it is {told}")

    async def _check_remains(self) -> None:
        async def nothing() -> bool:
            return not await self._stage.left() and not await remains.left_endings(broker)

        broker = self._stage.direct
        with suppress(AssertionError):
            await eventually(nothing, _SETTLED)
        self._violations += await remains.left_endings(broker)
        self._violations += await self._stage.left()
        self._violations += await remains.left_by_count(self._stage.direct)
        notes = self._load.notes
        self._violations += await remains.misplaced_dead_letters(self._stage.direct, notes)
        self._violations += await changed(self._stage, notes)

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._violations.append(f"in the clients' process: {context}")


async def changed(stage: Stage, notes: Notes) -> list[str]:
    """Tasks whose final state is another one now than the one their waiters were given."""
    told = []
    for task_id, state in notes.answers.items():
        sent = notes.sent[task_id]
        now = await stage.direct.state(sent.handle.queue, task_id)
        if (now.status, now.worker, now.release_time) != (
            (state.status, state.worker, state.release_time)
        ):
            told.append(f"{task_id} was {state} and is {now}")
    return told


def rows(evidence: Evidence) -> list[tuple[str, object]]:
    """The figures of a run."""
    notes = evidence.notes
    ends = Counter(state.status.value for state in notes.answers.values())
    faults = Counter(done.kind for done in evidence.done)
    why = Counter(evidence.explains(*pair) or "unexplained" for pair in evidence.repeated)
    own = sum(life.wanted == "" for life in evidence.lives)
    denied = [one for one, answer in notes.cancels.items() if answer is False]
    known = [notes.answers[one] for one in denied if one in notes.answers]
    odd = sum(state.status.value == "cancelled" for state in known)
    return [
        ("sent and acknowledged", len(notes.sent)),
        ("sends refused", len(notes.refused)),
        ("ended", _counted(ends)),
        ("runs", sum(map(len, evidence.starts.values()))),
        ("extra runs", _counted(why)),
        ("faults", _counted(faults)),
        ("pauses of queues", len(notes.pauses)),
        ("tasks promoted", notes.promoted),
        ("calls that cancelled many", len(notes.sweeps)),
        ("tasks that they cancelled", sum(one.count for one in notes.sweeps)),
        ("processes that ended by themselves", own),
        ("waits repeated", notes.asked_again),
        ("cancelled, though cancel() said it was final", odd),
        ("longest from an outage's end to a start (s)", max(gaps(evidence), default=0.0)),
    ]


def _counted(counter: Counter[Any]) -> str:
    named = ", ".join(f"{count} {name}" for name, count in counter.most_common())
    return f"{counter.total()} ({named})" if named else "0"
