"""A worker's entry in the registry, whatever the broker answers."""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import cast

import pytest

from ltq._worker.upkeep.registration import WorkerRegistration
from ltq.broker import Broker, WorkerEntry
from ltq.errors import BrokerError
from tests.eventually import eventually


class Registry:
    """A broker that only knows workers."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.announced: list[WorkerEntry] = []
        self.left: list[tuple[WorkerEntry, Sequence[str]]] = []
        self.never_answers = False
        self.has_endings = False

    async def time(self) -> float:
        return 100.0

    async def announce(self, worker: WorkerEntry) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        self.announced.append(worker)
        return self.has_endings

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str]) -> None:
        if self.never_answers:
            await asyncio.Event().wait()
        if self.errors:
            raise self.errors.pop(0)
        self.left.append((worker, lanes))


class Stand:
    """A registration, and the broker that keeps it."""

    def __init__(self, *lanes: str, lease: float = 0.006) -> None:
        self.registry = Registry()
        self.broker = cast(Broker, self.registry)
        self.pauses: list[float] = []
        self.heard = 0
        self.registration = WorkerRegistration(
            "w", lanes, concurrency=3, lease=lease, found_endings=self.hear, jitter=self.jitter
        )

    def hear(self) -> None:
        self.heard += 1

    def jitter(self, seconds: float) -> float:
        self.pauses.append(seconds)
        return 0.0


async def keep(stand: Stand, times: int) -> None:
    """Keep it until it was announced so often."""
    keeping = asyncio.create_task(stand.registration.keep(stand.broker))
    await eventually(lambda: len(stand.registry.announced) >= times)
    keeping.cancel()


async def test_it_is_announced_again_and_again_and_says_the_same() -> None:
    stand = Stand("mail:send", "mail:send/mail:send", "all")
    await keep(stand, 3)
    entry = stand.registry.announced[0]
    assert stand.registry.announced == [entry] * len(stand.registry.announced)
    assert (entry.name, entry.pid, entry.queues) == ("w", os.getpid(), ("all", "mail:send"))
    assert (entry.started, entry.concurrency) == (100.0, 3)


async def test_it_tells_when_there_are_endings() -> None:
    stand = Stand("mail:send")
    await keep(stand, 2)
    assert stand.heard == 0
    stand.registry.has_endings = True
    await keep(stand, len(stand.registry.announced) + 2)
    assert stand.heard >= 2


@pytest.mark.parametrize(("lease", "gone_after"), [(1.0, 30.0), (3.0, 30.0), (15.0, 150.0)])
async def test_it_is_gone_after_ten_leases_but_not_before_half_a_minute(
    lease: float, gone_after: float
) -> None:
    stand = Stand("mail:send", lease=lease)
    await keep(stand, 1)
    entry = stand.registry.announced[0]
    assert (entry.silent_after, entry.gone_after) == (lease, gone_after)


async def test_what_serves_nothing_is_not_announced() -> None:
    stand = Stand()
    await stand.registration.keep(stand.broker)
    await stand.registration.leave(stand.broker)
    assert (stand.registry.announced, stand.registry.left) == ([], [])


async def test_an_attempt_that_fails_is_repeated_soon(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand("mail:send")
    stand.registry.errors = [BrokerError("away"), ValueError("a bug")]
    with caplog.at_level(logging.DEBUG, "ltq.worker"):
        await keep(stand, 1)
    assert stand.pauses == [0.5]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "ERROR"]


async def test_it_leaves_with_what_it_served() -> None:
    stand = Stand("mail:send")
    await keep(stand, 1)
    await stand.registration.leave(stand.broker)
    assert stand.registry.left == [(stand.registry.announced[0], ("mail:send",))]


async def test_a_broker_that_is_away_does_not_hold_up_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ltq._worker.upkeep.registration._GOODBYE", 0.01)
    stand = Stand("mail:send")
    await keep(stand, 1)
    stand.registry.errors = [BrokerError("away")]
    await stand.registration.leave(stand.broker)
    stand.registry.never_answers = True
    await asyncio.wait_for(stand.registration.leave(stand.broker), 5)
    assert stand.registry.left == []
