"""What is given up while the event loop of a worker is blocked, and when its process ends."""

from collections.abc import Sequence
from typing import cast

import pytest

from ltq._worker.blocked_loop import GRACE, STOP_GRACE, BlockedLoop
from ltq._worker.completer import Completer
from ltq._worker.protocols import GivenUp
from ltq._worker.task_pool import TaskPool
from ltq.broker import Settler
from ltq.errors import BrokerError
from ltq.message import Delivery, Finish, Lease, Outcome, Requeue
from ltq.state import Status
from tests.worker.doubles import Shards, make_delivery, make_lease

LEASE = 15.0
SHUTDOWN = 30.0


class Pool:
    """Runs of which the first may belong to the asyncio task that asks."""

    def __init__(self) -> None:
        self.deliveries = [make_delivery(number) for number in (1, 2, 3)]
        self.deadlines: dict[int, float | None] = {1: None, 2: None, 3: None}
        self.is_known = True
        self.waiting: list[Requeue] = []

    def delivery_of(self, task: object) -> Delivery | None:
        return self.deliveries[0] if self.is_known else None

    def running(self) -> list[Delivery]:
        return self.deliveries

    def stalled(self) -> dict[Lease, float | None]:
        return {make_lease(number): end for number, end in self.deadlines.items()}

    def retries(self) -> list[Requeue]:
        return self.waiting

    def put_back(self, lease: Lease) -> Requeue:
        return Requeue(lease, front=True)


class Unwritten:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def unwritten(self) -> list[Outcome]:
        return self.outcomes


class Store(Shards):
    def __init__(self) -> None:
        self.finished: list[Outcome] = []
        self.ended: list[tuple[Lease, float]] = []
        self.is_away = False

    async def finish(self, outcomes: Sequence[Outcome]) -> None:
        if self.is_away:
            raise BrokerError("away")
        self.finished += outcomes

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> None:
        self.ended += [(lease, duration) for lease in leases]


class Stand:
    def __init__(self, shutdown_timeout: float | None = SHUTDOWN) -> None:
        self.now = 100.0
        self.told_at: float | None = None
        self.pool, self.completer, self.store = Pool(), Unwritten(), Store()
        self.blocked = BlockedLoop(
            cast(TaskPool, self.pool),
            cast(Completer, self.completer),
            lease=LEASE,
            shutdown_timeout=shutdown_timeout,
            told_to_stop=lambda: self.told_at,
            clock=lambda: self.now,
        )

    def given_up(self) -> tuple[set[str], set[str]]:
        found: GivenUp = self.blocked.given_up()
        return {lease.id for lease in found.culprits}, {lease.id for lease in found.returned}

    async def hand_over(self) -> None:
        await self.blocked.hand_over(cast(Settler, self.store))


@pytest.fixture
async def stand() -> Stand:
    return Stand()


class TestGivenUp:
    async def test_without_a_deadline_nothing_is(self, stand: Stand) -> None:
        stand.now = 1e6
        assert stand.given_up() == (set(), set())

    async def test_the_culprit_is_beyond_its_deadline(self, stand: Stand) -> None:
        stand.pool.deadlines[1] = 100.0
        stand.now = 100.0 + GRACE
        assert stand.given_up() == (set(), set())
        stand.now += 0.1
        assert stand.given_up() == ({"1"}, set())

    async def test_its_neighbours_follow_once_another_worker_may_have_it(
        self, stand: Stand
    ) -> None:
        stand.pool.deadlines[1] = 100.0
        stand.now = 100.1 + GRACE + LEASE
        assert stand.given_up() == ({"1"}, {"2", "3"})

    async def test_a_neighbour_beyond_its_own_is_no_culprit(self, stand: Stand) -> None:
        stand.pool.deadlines[2] = 100.0
        stand.now = 1e6
        assert stand.given_up() == (set(), {"2"})

    async def test_if_the_culprit_is_not_known_it_is_among_those(self, stand: Stand) -> None:
        stand.pool.is_known = False
        stand.pool.deadlines.update({1: 100.0, 2: 100.0})
        stand.now = 100.1 + GRACE
        assert stand.given_up() == ({"1", "2"}, set())
        stand.now += LEASE
        assert stand.given_up() == ({"1", "2"}, {"3"})


class TestMustEnd:
    async def test_not_before_it_is_told_to_stop(self, stand: Stand) -> None:
        stand.now = 1e6
        assert not stand.blocked.must_end()
        stand.blocked.stop_now()  # by the program, not by a signal
        stand.now += 1e6
        assert not stand.blocked.must_end()

    async def test_after_the_shutdown_timeout(self, stand: Stand) -> None:
        stand.told_at = 100.0
        stand.now = 100.0 + SHUTDOWN + STOP_GRACE
        assert not stand.blocked.must_end()
        stand.now += 0.1
        assert stand.blocked.must_end()

    async def test_told_twice_at_once(self, stand: Stand) -> None:
        stand.told_at = 100.0
        stand.now = 101.0
        stand.blocked.stop_now()
        assert not stand.blocked.must_end()
        stand.now += STOP_GRACE + 0.1
        stand.blocked.stop_now()  # once more makes no difference
        assert stand.blocked.must_end()

    async def test_a_process_that_is_not_its_own_never_does(self) -> None:
        stand = Stand(shutdown_timeout=None)
        stand.told_at, stand.now = 100.0, 1e6
        assert not stand.blocked.must_end()


class TestHandOver:
    async def test_what_runs_is_given_back_and_the_culprit_dies(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        written = Finish(make_lease(9), Status.COMPLETED)
        retry = Requeue(make_lease(8), failed=True)
        stand.completer.outcomes, stand.pool.waiting = [written], [retry]
        await stand.hand_over()
        back = [Requeue(make_lease(number), front=True) for number in (2, 3)]
        assert stand.store.finished == [written, retry, *back]
        assert stand.store.ended == [(make_lease(1), 0.0)]
        assert "blocked by mail:send 1: ending the process" in caplog.text

    async def test_if_the_culprit_is_not_known_all_are(self, stand: Stand) -> None:
        stand.pool.is_known = False
        await stand.hand_over()
        assert [outcome.lease.id for outcome in stand.store.finished] == ["1", "2", "3"]
        assert stand.store.ended == []

    async def test_a_broker_that_is_away_changes_nothing(self, stand: Stand) -> None:
        stand.store.is_away = True
        await stand.hand_over()
        assert stand.store.finished == []
