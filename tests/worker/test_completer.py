"""Writing outcomes: together, again while the broker is away, one by one where one is refused."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from ltq._worker.completer import Completer
from ltq._worker.outcomes import unwritable
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.message import Finish, Outcome, Receipt, Requeue
from ltq.state import Status
from tests.eventually import eventually
from tests.worker.doubles import Leases, Shards, make_lease, soon, turns


class Store(Shards):
    """Takes outcomes once it is let through, unless it has errors to raise first."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.written: list[Outcome] = []
        self.errors: list[BrokerError | ValueError] = []
        self.poison: str | None = None
        self.away = ""
        """A queue whose outcomes cannot be written."""
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
        if any(outcome.lease.queue == self.away for outcome in outcomes):
            raise BrokerError("away")
        if any(self._refuses(outcome) for outcome in outcomes):
            raise ValueError("cannot be encoded")
        self.written += outcomes
        return [self.receipt for _ in outcomes]

    def _refuses(self, outcome: Outcome) -> bool:
        """Whether it is poison: all but a short word in its place."""
        return outcome.lease.id == self.poison and outcome.failure is None


def done(number: int) -> Finish:
    return Finish(make_lease(number), Status.COMPLETED)


class Told:
    """Is told of outcomes that something follows from."""

    def __init__(self) -> None:
        self.written: list[Finish] = []
        self.dropped_ones: list[Outcome] = []

    def wrote(self, outcome: Finish) -> None:
        self.written.append(outcome)

    def dropped(self, outcome: Outcome) -> None:
        self.dropped_ones.append(outcome)


class Stand:
    """A completer with its store and leases."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = Store()
        self.leases = Leases()
        self.completer = Completer(
            cast(Settler, self.store), self.leases, substitute=unwritable, clock=lambda: self.now
        )


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
    assert stand.completer.is_running
    stand.store.let_through.set()
    assert await stand.completer.drain(5)
    assert stand.store.calls == [["1"], ["2", "3"]]
    assert stand.leases.released == [make_lease(number) for number in (1, 2, 3)]
    assert not stand.completer.is_running


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
    assert stand.store.calls[:4] == [["1", "2", "3"], ["1"], ["2"], ["3"]]
    assert set(map(tuple, stand.store.calls[4:])) == {("2",)}
    assert "task 2: its outcome cannot be written" in caplog.text


async def test_one_that_cannot_be_written_is_replaced_by_one_that_says_so(stand: Stand) -> None:
    stand.store.poison = "2"
    stand.completer.submit(Finish(make_lease(2), Status.COMPLETED, b"12345", result_ttl=7.0))
    assert await stand.completer.drain(5)
    (written,) = stand.store.written
    assert isinstance(written, Finish)
    assert (written.lease, written.status, written.result_ttl) == (make_lease(2), "failed", 7.0)
    assert written.dead
    assert written.failure is not None
    assert "completed, 5 bytes" in written.failure.text
    assert "cannot be encoded" in written.failure.text
    assert stand.leases.released == [make_lease(2)]


async def test_a_workflow_is_told_of_what_was_written_in_its_place(stand: Stand) -> None:
    told = Told()
    completer = Completer(
        cast(Settler, stand.store), stand.leases, substitute=unwritable, flows=told
    )
    stand.store.poison = "2"
    outcome = Finish(make_lease(2), Status.COMPLETED, b"12345", flow=b"{}", follow=b"0")
    completer.submit(outcome)
    assert await completer.drain(5)
    assert [(one.status, one.flow, one.follow) for one in told.written] == [
        (Status.FAILED, b"{}", b"")
    ]
    assert told.dropped_ones == [outcome]


async def test_it_is_told_of_what_is_not_written_and_of_nothing_else(stand: Stand) -> None:
    told = Told()
    completer = Completer(
        cast(Settler, stand.store), stand.leases, substitute=unwritable, flows=told
    )
    completer.submit(done(1))
    followed = Finish(make_lease(2), Status.COMPLETED, b"1", follow=b"0")
    completer.submit(followed)
    assert await completer.drain(5)
    assert (told.written, told.dropped_ones) == ([followed], [])
    stand.store.receipt = Receipt.STALE
    completer.submit(followed)
    assert await completer.drain(5)
    assert (told.written, told.dropped_ones) == ([followed], [followed])


async def test_one_to_be_run_again_that_cannot_be_written_fails(stand: Stand) -> None:
    stand.store.poison = "2"
    stand.completer.submit(Requeue(make_lease(2), ctx=b"{}"))
    assert await stand.completer.drain(5)
    (written,) = stand.store.written
    assert isinstance(written, Finish)
    assert written.status is Status.FAILED


async def test_one_that_is_refused_for_a_moment_is_written_as_it_is(stand: Stand) -> None:
    refusal = BrokerError("refused")
    refusal.is_refusal = True
    stand.store.errors = [refusal]
    stand.completer.submit(done(1))
    assert await stand.completer.drain(5)
    assert stand.store.written == [done(1)]


@pytest.mark.slow
async def test_one_that_others_hold_up_is_never_written_as_failed(stand: Stand) -> None:
    refusal = BrokerError("somebody holds its row")
    refusal.is_refusal = refusal.is_busy = True
    stand.store.errors = [refusal] * 6
    stand.completer.submit(done(1))
    assert await stand.completer.drain(20)
    assert stand.store.written == [done(1)]


async def test_where_all_is_refused_the_outcome_and_its_lease_are_kept(stand: Stand) -> None:
    refusal = BrokerError("refused")
    refusal.is_refusal = True
    stand.store.errors = [refusal] * 8
    stand.completer.submit(done(1))
    assert not await stand.completer.drain(0.3)
    assert (stand.completer.waiting, stand.leases.released) == (1, [])
    stand.store.errors = []
    assert await stand.completer.drain(20)
    assert stand.store.written == [done(1)]


async def test_a_drain_says_that_something_is_not_written(stand: Stand) -> None:
    stand.store.let_through.clear()
    stand.completer.submit(done(1))
    assert not await stand.completer.drain(0.0)
    await stand.completer.aclose()
    assert await stand.completer.drain(0.0)
    assert (stand.completer.waiting, stand.leases.released) == (0, [])


async def test_a_shard_that_is_away_holds_up_no_other(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of its outcomes is kept, and written when it is back."""
    caplog.set_level("INFO", "ltq.worker")
    here, away = done(1), Finish(make_lease(2, "shop:pay"), Status.COMPLETED)
    stand.store.apart, stand.store.away = ["shop"], "shop:pay"
    stand.completer.submit(away)
    stand.completer.submit(here)
    await eventually(lambda: stand.leases.released == [here.lease])
    assert (stand.completer.waiting, stand.completer.unwritten()) == (1, [away])
    assert not await stand.completer.drain(0.01)
    assert "written again" not in caplog.text
    stand.store.away = ""
    assert await stand.completer.drain(5)
    assert stand.leases.released == [here.lease, away.lease]
    assert [one.getMessage() for one in caplog.records] == [
        "1 outcomes wait to be written: away",
        "outcomes are written again",
    ]
