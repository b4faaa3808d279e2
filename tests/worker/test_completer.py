"""Writing outcomes: together, again while the broker is away, one by one where one is refused."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from ltq._worker.completer import Completer
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.message import Finish, Outcome, Receipt
from ltq.state import Status
from tests.worker.doubles import Leases, make_lease, soon, turns


class Store:
    """Takes outcomes once it is let through, unless it has errors to raise first."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.errors: list[BrokerError | ValueError] = []
        self.poison: str | None = None
        self.receipt = Receipt.OK
        self.called = asyncio.Event()
        self.let_through = asyncio.Event()
        self.let_through.set()

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        self.calls.append([outcome.lease.id for outcome in outcomes])
        self.called.set()
        await self.let_through.wait()
        if self.errors:
            raise self.errors.pop(0)
        if self.poison in self.calls[-1]:
            raise ValueError("cannot be encoded")
        return [self.receipt for _ in outcomes]


def done(number: int) -> Finish:
    return Finish(make_lease(number), Status.COMPLETED)


class Stand:
    """A completer with its store and leases."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = Store()
        self.leases = Leases()
        self.completer = Completer(cast(Settler, self.store), self.leases, clock=lambda: self.now)


@pytest.fixture
async def stand() -> Stand:
    return Stand()


async def test_what_ends_while_a_call_is_under_way_goes_out_in_the_next(stand: Stand) -> None:
    stand.store.let_through.clear()
    stand.completer.submit(done(1))
    await soon(stand.store.called)
    stand.completer.submit(done(2))
    stand.completer.submit(done(3))
    assert (stand.completer.waiting, stand.leases.released) == (3, [])
    stand.store.let_through.set()
    assert await stand.completer.drain(5)
    assert stand.store.calls == [["1"], ["2", "3"]]
    assert stand.leases.released == [make_lease(number) for number in (1, 2, 3)]


async def test_a_refused_outcome_releases_the_lease_too(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.store.receipt = Receipt.STALE
    stand.completer.submit(done(1))
    assert await stand.completer.drain(5)
    assert stand.leases.released == [make_lease(1)]
    assert "refused its outcome (stale)" in caplog.text


async def test_it_is_written_once_the_broker_is_back(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ltq")
    stand.store.errors = [BrokerError("away"), BrokerError("away")]
    stand.completer.submit(done(1))
    await soon(stand.store.called)
    for _ in range(2):  # a drain with a timeout does not wait for the pause to end
        await stand.completer.drain(0.0)
        await turns()
    assert await stand.completer.drain(5)
    assert stand.store.calls == [["1"]] * 3
    assert caplog.text.count("wait to be written") == 1
    assert "written again" in caplog.text


async def test_one_that_cannot_be_written_does_not_hold_up_the_others(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.store.poison = "2"
    for number in (1, 2, 3):
        stand.completer.submit(done(number))
    assert await stand.completer.drain(5)
    assert stand.store.calls == [["1", "2", "3"], ["1"], ["2"], ["3"]]
    assert "task 2: its outcome cannot be written" in caplog.text


async def test_a_drain_says_that_something_is_not_written(stand: Stand) -> None:
    stand.store.let_through.clear()
    stand.completer.submit(done(1))
    assert not await stand.completer.drain(0.0)
    await stand.completer.aclose()
    assert await stand.completer.drain(0.0)
    assert (stand.completer.waiting, stand.leases.released) == (0, [])
