"""A deployment, a rollback and the deployment again, under load; and all that is known of it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis

from devtools.workers import WorkerProcess
from ltq.broker import Broker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.names import namespace_of
from ltq.state import TaskState
from tests.elapse import elapse
from tests.eventually import eventually
from tests.rolling.record import Ran, Read, Sent
from tests.rolling.stage import ENDED, STARTED, Stage

SIZE: Final = 3
"""How many workers there are."""

STEADY: Final = 6.0
"""Seconds for which all workers are of one version."""

DRAINED: Final = 10.0
"""Seconds in which all that was sent must end when nothing more comes."""


@dataclass(frozen=True)
class Phase:
    """A part of the deployment, in Unix seconds."""

    begin: float
    end: float

    def has(self, moment: float) -> bool:
        return self.begin <= moment < self.end


@dataclass
class Rollout:
    """What happened."""

    sent: list[Sent]
    states: dict[str, TaskState[bytes]]
    """The final states."""
    ttls: dict[str, float]
    """Seconds that the final states of `keep` are kept."""
    reads: list[Read]
    only: dict[str, list[Phase]]
    """The phases in which all workers were of one version."""
    left: dict[str, list[Sent]]
    """By version: what no worker had claimed when its first phase was over."""
    stats: dict[str, dict[str, Any]]
    """By version: what `ltq stats` said then, by queue."""
    runs: dict[str, list[Ran]]
    """By id, in their order."""
    processes: dict[int, str]
    """The versions of the processes."""
    logs: dict[str, str]
    """By version: what its workers have logged."""

    def of(self, kind: str) -> list[Sent]:
        """The sends of a kind."""
        return [sent for sent in self.sent if sent.kind == kind]

    def starts(self, kind: str) -> list[Ran]:
        """The begins of all runs of a kind, in order of their claims."""
        runs = [ran for sent in self.of(kind) for ran in self.runs[sent.id]]
        return sorted((ran for ran in runs if ran.what == "start"), key=lambda ran: ran.claimed)

    def version_of(self, sent: Sent) -> str:
        """The version of the worker that had it last; empty if none had it."""
        worker = self.states[sent.id].worker
        return "" if worker is None else self.processes[int(worker.split("-")[-2])]


class Deployment:
    """Rolls version 2 out, back, and out again."""

    def __init__(self, stage: Stage, broker: Broker, server: redis.Redis) -> None:
        self._stage = stage
        self._broker = broker
        self._server = server
        self._workers: list[WorkerProcess] = []
        self._started: list[tuple[str, WorkerProcess]] = []
        self._only: dict[str, list[Phase]] = defaultdict(list)
        self._left: dict[str, list[Sent]] = {}
        self._stats: dict[str, dict[str, Any]] = {}

    async def run(self) -> Rollout:
        starts = [self._start("v1") for _ in range(SIZE)]
        self._workers = list(await asyncio.gather(*starts))
        senders = [await self._stage.run(one, "-m", "tests.rolling.sender") for one in ("v1", "v2")]
        await eventually(self._is_loaded, STARTED)
        await self._stay("v1")
        await self._replace("v2")
        await self._stay("v2")
        await self._replace("v1")
        await self._stay("v1")
        await self._replace("v2")
        self._stage.record.tell("senders stop")
        assert [await one.end(ENDED) for one in senders] == [0, 0], [one.log() for one in senders]
        await self._drain(but="shop:retire")
        self._workers.append(await self._start("v1"))
        await self._drain()
        readers = [await self._stage.run(one, "-m", "tests.rolling.reader") for one in ("v1", "v2")]
        ends = [await one.end(STARTED + ENDED) for one in readers]
        assert ends == [0, 0], [one.log() for one in readers]
        for worker in self._workers:
            await self._stage.stop(worker)
        return await self._all()

    def _is_loaded(self) -> bool:
        """Whether both versions send."""
        return {sent.version for sent in self._stage.record.read(Sent)} == {"v1", "v2"}

    async def _start(self, version: str) -> WorkerProcess:
        worker = await self._stage.work(version)
        self._started.append((version, worker))
        return worker

    async def _replace(self, version: str) -> None:
        """As a rolling deployment does: one worker after the other."""
        for place, worker in enumerate(self._workers):
            await self._stage.stop(worker)
            self._workers[place] = await self._start(version)

    async def _stay(self, version: str) -> None:
        begin = time.time()
        await elapse(STEADY, "what the workers of one version do is measured")
        self._only[version].append(Phase(begin, time.time()))
        if version not in self._left:
            self._stats[version] = await asyncio.to_thread(self._stage.stats)
            sent = self._stage.record.read(Sent)
            states = await self._states(sent)
            unclaimed = {known for known, state in states.items() if not state.dequeue_count}
            self._left[version] = [one for one in sent if one.id in unclaimed]

    async def _drain(self, *, but: str = "") -> None:
        """Wait until everything has ended, except for the tasks of one name."""
        left = self._stage.record.read(Sent)

        async def is_done() -> bool:
            states = await self._states(left)
            ended = {known for known, state in states.items() if state.status.is_final}
            left[:] = [sent for sent in left if sent.id not in ended]
            return all(sent.task == but for sent in left)

        with suppress(AssertionError):  # a test tells what has not ended
            await eventually(is_done, DRAINED)

    async def _states(self, sent: Sequence[Sent]) -> dict[str, TaskState[bytes]]:
        by_namespace: dict[str, list[str]] = defaultdict(list)
        for one in sent:
            by_namespace[namespace_of(one.task)].append(one.id)
        found = {}
        for namespace, ids in by_namespace.items():
            for state in await self._broker.states(f"{namespace}:any", ids):
                if state is not None:
                    found[state.id] = state
        return found

    def _ttls(self, sent: Sequence[Sent], states: dict[str, TaskState[bytes]]) -> dict[str, float]:
        """How long final states are kept from their end on."""
        pipe = self._server.pipeline(transaction=False)
        for one in sent:
            pipe.pexpiretime(keys.task(namespace_of(one.task), one.id))
        ends = pipe.execute()
        return {
            one.id: end / 1000 - (states[one.id].release_time or 0.0)
            for one, end in zip(sent, ends, strict=True)
        }

    async def _all(self) -> Rollout:
        sent = self._stage.record.read(Sent)
        states = await self._states(sent)
        kept = [one for one in sent if one.kind.startswith("keep")]
        runs: dict[str, list[Ran]] = defaultdict(list)
        for ran in self._stage.record.read(Ran):
            runs[ran.id].append(ran)
        logs: dict[str, str] = defaultdict(str)
        for version, worker in self._started:
            logs[version] += worker.log()
        return Rollout(
            sent=sent,
            states=states,
            ttls=self._ttls(kept, states),
            reads=self._stage.record.read(Read),
            only=self._only,
            left=self._left,
            stats=self._stats,
            runs=runs,
            processes={worker.pid: version for version, worker in self._started},
            logs=logs,
        )
