"""Two brokers, and what the tests of `ltq move` put there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ltq.broker import Broker, ScheduleRecord, ScheduleSlot
from ltq.cli.move._move import Report, move
from ltq.message import Finish, Published, new_id
from ltq.state import Status
from ltq.testing.conformance._schedules.kept import make_schedule
from tests.conformance.factories import QUEUE, claim_one, make_envelope

STEP = 60
"""Seconds between two slots of the schedules here."""


PAIRS = [
    *(("memory", "sqlite"), ("sqlite", "redis"), ("redis", "memory"), ("sqlite", "sqlite")),
    pytest.param(("postgres", "postgres"), marks=pytest.mark.slow),
]
"""From which kind of store to which."""

MORE_PAIRS = [
    pytest.param(pair, marks=pytest.mark.slow)
    for pair in (("redis", "postgres"), ("sqlite", "postgres"), ("postgres", "redis"))
]
"""Others, for tests that are quick."""


def name_pair(pair: tuple[str, str]) -> str:
    """How tests are named by a pair."""
    return "-".join(pair)


def pair_urls(request: pytest.FixtureRequest, folder: Path) -> list[str]:
    """The URLs of two empty stores of the kinds that the parameter of a fixture names."""
    urls: list[str] = []
    for name, kind in zip(("from", "to"), request.param, strict=True):
        known = {"memory": f"memory://{new_id()}", "sqlite": f"sqlite:///{folder / name}.db"}
        url: str = known.get(kind) or request.getfixturevalue(f"{kind}_url")
        is_second = kind == "postgres" and url in urls
        urls.append(f"{url}_{name}&migrate=auto" if is_second else url)  # a schema of its own
    return urls


@asynccontextmanager
async def open_pair(
    request: pytest.FixtureRequest, folder: Path
) -> AsyncIterator[tuple[Broker, Broker]]:
    """Two empty brokers of the kinds that the parameter of a fixture names, one of `PAIRS`."""
    source, target = map(Broker.from_url, pair_urls(request, folder))
    async with source, target:
        yield source, target


async def move_queue(source: Broker, target: Broker) -> Report:
    """Move the queue of these tests."""
    return await move(source, target, [QUEUE], lambda _: None, lambda _: None)


async def bury(broker: Broker, task_id: str) -> None:
    """Make a dead letter of a task that is the only one that waits."""
    await broker.publish([make_envelope(id=task_id)])
    async with broker.consumer([QUEUE]) as consumer:
        lease = (await claim_one(broker, consumer)).lease
        assert lease.id == task_id
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])


async def waiting(broker: Broker, status: Status) -> list[str]:
    """The ids of the tasks with a status, in their order."""
    return [one.id for one in (await broker.tasks(QUEUE, status=status, limit=1000)).items]


async def letters(broker: Broker) -> list[str]:
    """The ids of the dead letters, the newest first."""
    return [one.id for one in await broker.dead_letters(QUEUE)]


async def keep_schedule(
    broker: Broker, name: str = "nightly", *, since: int = 4000
) -> ScheduleRecord:
    """Let a broker keep a schedule whose last slot is some seconds ago."""
    schedule, now = make_schedule(name, misfire="all"), int(await broker.time())
    record = ScheduleRecord(
        name=name,
        namespace="mail",
        spec=schedule.spec,
        put=schedule.digest,
        schedule=schedule,
        last=now - since,
    )
    assert await broker.adopt_schedule(record, record.last + STEP)
    return record


@dataclass(slots=True)
class Slots:
    """Schedulers of several brokers, which fire what is due by a clock that goes in steps."""

    until: int
    fired: list[int] = field(default_factory=list)
    """The slots that enqueued a task, anywhere."""

    async def tick(self, *brokers: Broker, name: str = "nightly") -> None:
        """A slot is due, and each scheduler fires all that it finds undone."""
        self.until += STEP
        for broker in brokers:
            for record in await broker.schedules([name], QUEUE):
                last = record.last
                while not record.is_paused and last + STEP <= self.until:
                    last += STEP
                    await self._fire(broker, record, last)

    async def _fire(self, broker: Broker, record: ScheduleRecord, slot: int) -> None:
        receipt = await broker.fire(
            ScheduleSlot(
                schedule=record.name,
                queue=QUEUE,
                spec=record.spec,
                put=record.put,
                after=slot - STEP,
                slot=slot,
                due=slot + STEP,
                envelope=make_envelope(id=f"tick:{slot}"),
            )
        )
        if receipt.published is Published.CREATED:
            self.fired.append(slot)
