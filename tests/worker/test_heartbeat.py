"""Keeping leases alive from another thread, and noticing an event loop that is blocked."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Self, cast

import pytest

from ltq._worker.heartbeat import Heartbeat
from ltq._worker.protocols import GivenUp
from ltq.broker import Broker, Settler
from ltq.errors import BrokerError
from ltq.message import Lease, Outcome, Requeue
from tests.eventually import eventually
from tests.worker.doubles import Leases, Shards, make_lease

SHORT = 0.006
"""Seconds of a lease, so that it is renewed every 2 ms."""


class Store(Shards):
    """Renews leases; which thread asked, and for what, is kept."""

    def __init__(self) -> None:
        self.renewed: list[list[Lease]] = []
        self.threads: set[str] = set()
        self.errors: list[Exception] = []
        self.lost: list[Lease] = []
        self.is_closed = False
        self.finished: list[Outcome] = []
        self.refusals = 0
        self.away = ""
        """A queue whose leases cannot be renewed."""
        self.served: list[list[str]] = []

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        self.served.append(list(lanes))
        if len(self.served) < 3:
            raise (BrokerError("away"), RuntimeError("broken"))[len(self.served) - 1]

    def wait_until(self, holds: Callable[[], object]) -> bool:
        """Block this thread, and with it the event loop, until something holds; say whether."""
        wait = threading.Event().wait
        return any(holds() or wait(0.001) for _ in range(5000))

    async def finish(self, outcomes: Sequence[Outcome]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BrokerError("away")
        self.finished += outcomes

    def clone(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.is_closed = True

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        self.threads.add(threading.current_thread().name)
        if self.errors:
            raise self.errors.pop(0)
        if leases[0].queue == self.away:
            raise BrokerError("away")
        self.renewed.append(list(leases))
        return self.lost


class Listener:
    """Keeps what it is told, and in which thread."""

    def __init__(self) -> None:
        self.lost: list[tuple[Lease, threading.Thread]] = []

    def lease_lost(self, lease: Lease) -> None:
        self.lost.append((lease, threading.current_thread()))


class Blocked:
    """What is asked while the event loop is blocked."""

    def __init__(self) -> None:
        self.was_told = threading.Event()
        self.given = GivenUp([], [])
        self.ends = False
        self.handed_over = 0

    def loop_blocked(self) -> None:
        self.was_told.set()

    def given_up(self) -> GivenUp:
        return self.given

    def put_back(self, lease: Lease) -> Requeue:
        return Requeue(lease, front=True)

    def must_end(self) -> bool:
        return self.ends

    async def hand_over(self, settler: Settler) -> None:
        self.handed_over += 1


class Stand:
    """A heartbeat with what surrounds it, and a clock."""

    def __init__(self, *held: Lease, duration: float = SHORT) -> None:
        self.now = self.claimed_at = 100.0
        self.jittered: list[float] = []
        self.store = Store()
        self.leases = Leases(*held)
        self.listener = Listener()
        self.blocked = Blocked()
        self.ended: list[int] = []
        self.heartbeat = Heartbeat(
            cast(Broker, self.store),
            self.leases,
            duration,
            lanes=["mail:send", "mail:all/mail:send"],
            claimed_at=lambda: self.claimed_at,
            listener=self.listener,
            blocked=self.blocked,
            end_process=self.ended.append,
            clock=lambda: self.now,
            jitter=self.jitter,
        )

    def jitter(self, seconds: float) -> float:
        self.jittered.append(seconds)
        return 0.0


class TestRenewing:
    async def test_what_is_held_is_renewed_from_a_thread(self) -> None:
        stand = Stand(make_lease(1), make_lease(2))
        stand.heartbeat.start()
        await eventually(lambda: len(stand.store.renewed) > 1)
        await stand.heartbeat.aclose()
        assert stand.store.renewed[0] == [make_lease(1), make_lease(2)]
        assert stand.store.threads == {"ltq-heartbeat"}
        assert stand.store.is_closed

    async def test_nothing_is_asked_where_nothing_is_held(self) -> None:
        stand = Stand()
        stand.heartbeat.start()
        stand.now = 105.0
        await eventually(lambda: stand.heartbeat.renewed_at == 105.0)
        await stand.heartbeat.aclose()
        assert stand.store.renewed == []

    async def test_it_says_that_the_worker_lives_whatever_the_broker_answers(self) -> None:
        stand = Stand()
        stand.heartbeat.start()

        def time_goes_on() -> bool:
            stand.now += SHORT
            return len(stand.store.served) > 3

        await eventually(time_goes_on)
        await stand.heartbeat.aclose()
        assert stand.store.served[0] == ["mail:send", "mail:all/mail:send"]

    async def test_it_says_nothing_where_a_claim_has_said_it(self) -> None:
        stand = Stand(make_lease(1))
        stand.heartbeat.start()

        def time_goes_on() -> bool:
            stand.now += SHORT
            stand.claimed_at = stand.now
            return len(stand.store.renewed) > 5

        await eventually(time_goes_on)
        await stand.heartbeat.aclose()
        assert stand.store.served == []

    async def test_a_lost_lease_is_told_in_the_workers_loop(self) -> None:
        stand = Stand(make_lease(1), make_lease(2))
        stand.store.lost = [make_lease(2)]
        stand.heartbeat.start()
        await eventually(lambda: stand.listener.lost)
        await stand.heartbeat.aclose()
        assert stand.listener.lost[0] == (make_lease(2), threading.current_thread())

    async def test_one_released_meanwhile_is_not(self) -> None:
        stand = Stand(make_lease(1))
        stand.store.lost = [make_lease(9)]
        stand.heartbeat.start()
        await eventually(lambda: len(stand.store.renewed) > 2)
        await stand.heartbeat.aclose()
        assert stand.listener.lost == []

    @pytest.mark.parametrize("error", [BrokerError("away"), ValueError("a bug")])
    async def test_an_attempt_that_fails_is_repeated(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        stand = Stand(make_lease(1))
        stand.store.errors = [error]
        stand.heartbeat.start()
        await eventually(lambda: stand.store.renewed)
        await stand.heartbeat.aclose()
        assert "1 leases could not be renewed" in caplog.text
        assert stand.jittered == ([0.5] if isinstance(error, BrokerError) else [])


class TestShards:
    async def test_one_that_is_away_holds_up_no_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        here, away, lost = make_lease(1), make_lease(2, "shop:pay"), make_lease(3)
        stand = Stand(here, away, lost)
        stand.store.apart, stand.store.away, stand.store.lost = ["shop"], "shop:pay", [lost]
        stand.heartbeat.start()
        await eventually(lambda: len(stand.store.renewed) > 1)
        stand.now = 110.0
        await eventually(lambda: stand.heartbeat.renewed_at == 110.0)
        assert stand.heartbeat.late("shop") == [away]
        assert not stand.heartbeat.late("")
        await eventually(lambda: stand.listener.lost)
        stand.store.away = ""
        await eventually(lambda: not stand.heartbeat.late("shop"))
        await stand.heartbeat.aclose()
        assert next(lease for lease, _ in stand.listener.lost) == lost
        assert "1 leases could not be renewed: away" in caplog.text


class TestLate:
    async def test_only_where_something_is_held_for_long(self) -> None:
        stand = Stand(make_lease(1), duration=10.0)
        assert not stand.heartbeat.late("")
        stand.now = 105.0
        assert not stand.heartbeat.late("")
        stand.now = 105.1
        assert stand.heartbeat.late("") == [make_lease(1)]
        assert not stand.heartbeat.late("shop")
        stand.leases.held.clear()
        assert not stand.heartbeat.late("")


class TestBlocked:
    async def test_a_blocked_loop_is_told_from_the_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.heartbeat.BLOCKED_AFTER", 0.01)
        stand = Stand()
        stand.heartbeat.start()
        assert stand.blocked.was_told.wait(5)  # this very loop does not go on meanwhile
        await stand.heartbeat.aclose()

    async def blocked(self, monkeypatch: pytest.MonkeyPatch, *held: Lease) -> Stand:
        """A heartbeat that has found the loop of this test blocked."""
        monkeypatch.setattr("ltq._worker.heartbeat.BLOCKED_AFTER", 0.01)
        monkeypatch.setattr("ltq._worker.heartbeat._LOOK", 0.01)
        return Stand(*held)

    async def test_what_is_given_up_is_not_renewed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        culprit, neighbour, kept = (make_lease(number) for number in (1, 2, 3))
        stand = await self.blocked(monkeypatch, culprit, neighbour, kept)
        stand.blocked.given = GivenUp([culprit], [neighbour])
        stand.heartbeat.start()
        assert stand.store.wait_until(lambda: stand.store.renewed[-1:] == [[kept]])
        assert stand.store.finished == [Requeue(neighbour, front=True)]  # once
        await eventually(lambda: stand.listener.lost)
        assert [lease for lease, _ in stand.listener.lost] == [neighbour]
        assert stand.store.renewed[-1] == [kept]  # nor when the loop goes on
        await stand.heartbeat.aclose()

    async def test_what_cannot_be_given_back_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        neighbour = make_lease(2)
        stand = await self.blocked(monkeypatch, neighbour)
        stand.blocked.given = GivenUp([], [neighbour])
        stand.store.refusals = 2
        stand.heartbeat.start()
        assert stand.store.wait_until(lambda: stand.store.finished)
        assert [neighbour] in stand.store.renewed
        await stand.heartbeat.aclose()

    async def test_the_process_ends_from_the_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stand = await self.blocked(monkeypatch)
        stand.blocked.ends = True
        stand.heartbeat.start()
        assert stand.store.wait_until(lambda: stand.ended == [0])
        assert stand.blocked.handed_over == 1
        await stand.heartbeat.aclose()


class TestLifecycle:
    async def test_twice_is_once(self) -> None:
        stand, before = Stand(), set(threading.enumerate())
        stand.heartbeat.start()
        stand.heartbeat.start()
        begun = [thread.name for thread in threading.enumerate() if thread not in before]
        assert begun == ["ltq-heartbeat"]
        assert not await stand.heartbeat.drain(0.0)
        stand.heartbeat.stop()
        stand.heartbeat.stop()
        assert await stand.heartbeat.drain(5)
        await stand.heartbeat.aclose()
        assert not stand.heartbeat.is_running

    async def test_one_that_never_started_is_closed_already(self) -> None:
        await asyncio.wait_for(Stand().heartbeat.aclose(), 5)

    async def test_what_ends_its_thread_is_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        stand = Stand()
        monkeypatch.delattr(Store, "clone")
        stand.heartbeat.start()
        assert await stand.heartbeat.drain(5)
        assert "the heartbeat failed" in caplog.text
