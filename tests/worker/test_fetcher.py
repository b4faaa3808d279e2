"""The loop that claims: how much, when, and what becomes of a claim when it stops."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ltq._worker import fetcher as fetcher_module
from ltq._worker.fetcher import Fetcher
from ltq.broker import Claim, Consumer, Settler
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease
from tests.eventually import eventually
from tests.worker.doubles import Shards, make_delivery, soon, turns

LEASE = 15.0


class Pool:
    """Room for so many deliveries; they run until the test takes them out."""

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit
        self.started: list[str] = []
        self.begun: list[str] = []
        self.running: set[str] = set()
        self.changed = asyncio.Event()
        self.waits: list[float | None] = []
        self.idle_for = 0.0

    @property
    def free(self) -> int:
        return self.limit - self.used

    @property
    def used(self) -> int:
        return len(self.running)

    def start(self, delivery: Delivery) -> None:
        self.started.append(delivery.lease.id)
        self.running.add(delivery.lease.id)
        asyncio.get_running_loop().call_soon(self.begun.append, delivery.lease.id)

    async def wait_changed(self, timeout: float | None = None) -> None:
        self.waits.append(timeout)
        self.changed.clear()
        await self.changed.wait()

    def wake(self) -> None:
        self.changed.set()

    def end_all(self) -> None:
        self.running.clear()
        self.changed.set()


class Store(Shards):
    """Gives claims one after the other, then nothing; a claim moves the clock on."""

    def __init__(self, *claims: Claim | Exception, takes: float = 0.1) -> None:
        self.claims = list(claims)
        self.takes = takes
        self.now = 0.0
        self.limits: list[int] = []
        self.runnings: list[int] = []
        self.ignored_isolation: list[bool] = []
        self.waited = asyncio.Event()
        self.claimed = asyncio.Event()
        self.let_through = asyncio.Event()
        self.let_through.set()
        self.renewed: list[str] = []
        self.moved_to: list[str] = []
        self.lost: Sequence[int] | BrokerError = ()
        self.failing_waits = 0
        self.wait_count = 0
        self.wanted: list[tuple[int, int]] = []
        self.work = asyncio.Event()

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        self.limits.append(limit)
        self.runnings.append(running)
        self.ignored_isolation.append(ignore_isolation)
        self.now += self.takes
        self.claimed.set()
        await self.let_through.wait()
        given = self.claims.pop(0) if self.claims else Claim([], None)
        if isinstance(given, Exception):
            raise given
        return given

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        self.wait_count += 1
        self.wanted.append((room, running))
        if self.failing_waits:
            self.failing_waits -= 1
            raise BrokerError("away")
        self.waited.set()
        await self.work.wait()
        self.work.clear()
        return True

    async def moved(self, lanes: Sequence[str]) -> None:
        self.moved_to += lanes

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        self.renewed += [lease.id for lease in leases]
        if isinstance(self.lost, BrokerError):
            raise self.lost
        return [lease for lease in leases if lease.token in self.lost]


def fetch(store: Store, pool: Pool, *, burst: bool = False) -> Fetcher:
    fetcher = Fetcher(
        cast(Consumer, store),
        pool,
        cast(Settler, store),
        store,
        lease=LEASE,
        burst=burst,
        clock=lambda: store.now,
    )
    fetcher.start()
    return fetcher


def three(**more: Any) -> Claim:
    return Claim([make_delivery(number) for number in range(3)], None, **more)


def eight() -> list[Delivery]:
    return [make_delivery(number) for number in range(8)]


class TestMovedTasks:
    async def test_the_lookout_is_told_and_more_is_claimed_at_once(self) -> None:
        store, pool = Store(Claim([], 0.0, moved=("q/a", "q/b")), three()), Pool()
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert store.moved_to == ["q/a", "q/b"]
        assert len(store.limits) == 2
        assert pool.used == 3

    async def test_a_burst_goes_on_behind_them(self) -> None:
        store, pool = Store(Claim([], 0.0, moved=("q/a",)), Claim([], 5.0)), Pool()
        fetcher = fetch(store, pool, burst=True)
        await asyncio.wait_for(fetcher.wait(), 5)
        assert len(store.limits) == 2


class TestClaiming:
    async def test_half_of_the_slots_are_claimed_at_a_time(self) -> None:
        store, pool = Store(), Pool(100)
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert (store.limits, store.runnings) == ([50], [0])

    async def test_few_slots_are_claimed_at_once(self) -> None:
        store, pool = Store(), Pool(6)
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert store.limits == [6]

    async def test_what_runs_is_told_to_the_broker(self) -> None:
        store, pool = Store(three()), Pool()
        fetcher = fetch(store, pool)
        await soon(store.waited)
        store.waited.clear()
        await fetcher.aclose()
        fetcher.start()
        await soon(store.waited)
        await fetcher.aclose()
        assert store.runnings == [0, 3]

    async def test_a_failed_claim_is_tried_again(self) -> None:
        store, pool = Store(BrokerError("away"), three()), Pool()
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert pool.started == ["0", "1", "2"]

    async def test_another_error_ends_it(self) -> None:
        fetcher = fetch(Store(ValueError("broken")), Pool())
        with pytest.raises(ValueError, match="broken"):
            await fetcher.wait()

    async def test_a_claim_is_noted_for_the_health(self) -> None:
        store = Store()
        fetcher = fetch(store, Pool())
        assert fetcher.claimed_at == 0.0
        await soon(store.waited)
        assert fetcher.claimed_at == pytest.approx(0.1)
        await fetcher.aclose()


class TestClaimingAhead:
    """The broker works on the next claim while the tasks of the last one run."""

    @staticmethod
    async def begun_at_second_claim(first: Claim) -> tuple[list[str], Store]:
        """What had begun when the second claim was made."""
        store, pool = Store(first), Pool(16)
        begun: list[list[str]] = []
        claim = store.claim

        async def noted(*args: Any, **kwargs: Any) -> Claim:
            begun.append([*pool.begun])
            return await claim(*args, **kwargs)

        store.claim = noted  # type: ignore[method-assign]
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert pool.started == [one.lease.id for one in first.deliveries]
        return begun[1], store

    async def test_a_claim_goes_out_before_what_the_last_one_gave_begins(self) -> None:
        begun, store = await self.begun_at_second_claim(Claim(eight(), None))
        assert begun == []
        assert (store.limits, store.runnings) == ([8, 8], [0, 8])

    async def test_what_needs_isolation_begins_first(self) -> None:
        deliveries = [*eight()[:-1], make_delivery(7, isolation=9)]
        begun, store = await self.begun_at_second_claim(Claim(deliveries, None))
        assert len(begun) == 8
        assert store.runnings == [0, 8]

    async def test_a_task_that_waits_for_isolation_is_claimed_for_when_others_have_ended(
        self,
    ) -> None:
        store, pool = Store(Claim(eight(), None, isolation=4)), Pool(16)
        fetcher = fetch(store, pool)
        while not pool.waits:
            await turns()
        assert store.limits == [8]
        pool.end_all()
        await soon(store.waited)
        await fetcher.aclose()
        assert store.limits == [8, 8]

    async def test_while_it_is_looked_for_strangers_nothing_is_claimed(self) -> None:
        """Nobody would hold the leases of what comes, which may end before that look does."""
        store, pool = Store(Claim(eight(), None, moved=("q/a",))), Pool(16)
        looking, looked = asyncio.Event(), asyncio.Event()

        async def moved(lanes: Sequence[str]) -> None:
            looking.set()
            await looked.wait()

        store.moved = moved  # type: ignore[method-assign]
        fetcher = fetch(store, pool)
        await soon(looking)
        await turns()
        assert (store.limits, len(pool.begun)) == ([8], 8)
        looked.set()
        await soon(store.waited)
        await fetcher.aclose()
        assert store.limits == [8, 8]

    async def test_without_room_none_is_made_before_a_run_ends(self) -> None:
        store, pool = Store(Claim(eight(), None)), Pool(8)
        fetcher = fetch(store, pool)
        while not pool.waits:
            await turns()
        assert store.limits == [8]
        await fetcher.aclose()


class Asked(Store):
    """Answers each claim when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[asyncio.Future[Claim]] = []

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        self.limits.append(limit)
        self.runnings.append(running)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def give(self, nth: int, count: int = 8, **more: Any) -> None:
        """Answer the nth claim with so many tasks, named after it, and let that be handled."""
        deliveries = [make_delivery(100 * nth + number) for number in range(count)]
        self.answers[nth].set_result(Claim(deliveries, more.pop("due_in", None), **more))
        await turns(6)


class TestClaimingBeside:
    """A second claim is on its way where the network takes longer than the runs."""

    @staticmethod
    async def begun(late: float = 0.01, *, burst: bool = False) -> tuple[Asked, Pool, Fetcher]:
        """The third claim is in progress, those before it came so late; then all runs end."""
        store, pool = Asked(), Pool(16)
        fetcher = fetch(store, pool, burst=burst)
        await turns()
        await store.give(0)
        pool.end_all()
        pool.idle_for = late
        await store.give(1)
        pool.end_all()
        await turns(6)
        assert len(store.limits) == 3, "a single late one tells nothing"
        await store.give(2)
        for told in (store.answers, store.limits, store.runnings):
            del told[1]
        assert (store.limits, store.runnings, pool.used) == ([8, 8, 8], [0, 8, 8], 8)
        pool.end_all()
        await turns(6)
        pool.started.clear()
        return store, pool, fetcher

    async def test_it_goes_out_once_nothing_runs(self) -> None:
        store, _, fetcher = await self.begun()
        await fetcher.aclose()
        assert (store.limits, store.runnings) == ([8] * 4, [0, 8, 8, 8])

    async def test_it_does_not_if_the_answers_come_in_time(self) -> None:
        store, _, fetcher = await self.begun(late=0.0001)
        await fetcher.aclose()
        assert len(store.limits) == 3

    async def test_no_third_one_goes_out(self) -> None:
        store, pool, fetcher = await self.begun()
        pool.changed.set()
        await turns(6)
        await fetcher.aclose()
        assert len(store.limits) == 4

    async def test_another_follows_each_answer_when_its_tasks_have_ended(self) -> None:
        store, pool, fetcher = await self.begun()
        for nth in (2, 3, 4):
            await store.give(nth)
            assert len(store.limits) == nth + 2
            pool.end_all()
            await turns(6)
            assert len(store.limits) == nth + 3
        await fetcher.aclose()
        assert set(store.limits) == {8}

    async def test_it_ends_when_answers_come_in_time_again(self) -> None:
        store, pool, fetcher = await self.begun()
        pool.idle_for = 0.0
        for nth in range(2, 20):
            await store.give(nth)
            pool.end_all()
            await turns(6)
        assert len([one for one in store.answers if not one.done()]) == 1
        await fetcher.aclose()

    async def test_what_comes_first_begins_at_once(self) -> None:
        store, pool, fetcher = await self.begun()
        await store.give(3, 1)
        assert pool.started == ["300"]
        await store.give(2, 1)
        await fetcher.aclose()
        assert pool.started == ["300", "200"]

    @pytest.mark.parametrize("burst", [False, True])
    @pytest.mark.parametrize("order", [(2, 3), (3, 2)])
    async def test_a_third_one_says_whether_there_is_more(
        self, order: tuple[int, int], burst: bool
    ) -> None:
        """The broker may have carried out either first, and another task may have come between."""
        store, _, fetcher = await self.begun(burst=burst)
        for nth in order:
            await store.give(nth, 0)
        assert (len(store.limits), store.wait_count, fetcher.is_running) == (5, 0, True)
        await store.give(4, 0)
        assert (store.wait_count, fetcher.is_running) == (int(not burst), not burst)
        await fetcher.aclose()

    async def test_beside_one_that_failed_what_comes_begins_at_once(self) -> None:
        store, pool, fetcher = await self.begun()
        store.answers[2].set_exception(BrokerError("away"))
        await turns(6)
        await store.give(3, 1)
        await fetcher.aclose()
        assert pool.started == ["300"]

    async def test_strangers_are_looked_for_when_nothing_is_on_its_way(self) -> None:
        store, pool, fetcher = await self.begun()
        await store.give(2, 0, moved=("q/a",), due_in=0.0)
        assert (store.moved_to, len(store.limits)) == ([], 4)
        await store.give(3, 2, moved=("q/b",))
        await fetcher.aclose()
        assert (store.moved_to, len(pool.started)) == (["q/a", "q/b"], 2)

    async def test_none_goes_out_while_a_task_waits_for_isolation(self) -> None:
        store, pool, fetcher = await self.begun()
        await store.give(2, 7, isolation=4)
        pool.end_all()
        await turns(6)
        assert len(store.limits) == 4
        await store.give(3, 7, isolation=4)
        assert len(store.limits) == 4
        pool.end_all()
        await turns(6)
        await fetcher.aclose()
        assert (store.limits[4:], store.runnings[4:]) == ([8], [0])

    async def test_those_of_both_begin_after_a_stop(self) -> None:
        store, pool, fetcher = await self.begun()
        fetcher.stop()
        draining = asyncio.ensure_future(fetcher.drain(5))
        await turns()
        await store.give(3, 1)
        await store.give(2, 1)
        await draining
        assert sorted(pool.started) == ["200", "300"]

    async def test_those_that_are_late_do_not_hold_up_the_others(self) -> None:
        store, pool, fetcher = await self.begun()
        fetcher.stop()
        draining = asyncio.ensure_future(fetcher.drain(0.05))
        await turns()
        await store.give(3, 1)
        await draining
        assert pool.started == ["300"]
        assert store.answers[2].cancelled()


class TestWaiting:
    @pytest.mark.parametrize(
        ("failures", "told"),
        [
            (1, []),
            (3, ["waiting for work failed, trying again: away", "waiting for work again"]),
        ],
    )
    async def test_one_that_fails_is_repeated_and_told_once_if_it_fails_again(
        self, failures: int, told: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first failure may be a lost connection, which the next claim replaces."""
        caplog.set_level("INFO", "ltq.worker")
        store = Store()
        store.failing_waits = failures
        fetcher = fetch(store, Pool())
        await soon(store.waited)
        assert (store.wait_count, len(store.limits)) == (failures + 1, failures + 1)
        store.waited.clear()
        store.work.set()
        await soon(store.waited)
        await fetcher.aclose()
        assert caplog.messages == told


class TestBurst:
    async def test_it_ends_where_nothing_is_due_or_running(self) -> None:
        store, pool = Store(), Pool()
        await fetch(store, pool, burst=True).wait()
        assert store.limits == [8]

    async def test_it_waits_for_what_runs(self) -> None:
        store, pool = Store(three()), Pool()
        fetcher = fetch(store, pool, burst=True)
        while not pool.waits:
            await soon(store.claimed)
            store.claimed.clear()
            await turns()
        assert fetcher.is_running
        pool.end_all()
        await asyncio.wait_for(fetcher.wait(), 5)

    async def test_it_waits_for_what_a_limit_holds_up(self) -> None:
        store, pool = Store(Claim([], None, start_in=0.01)), Pool()
        fetcher = fetch(store, pool, burst=True)
        await soon(store.waited)
        assert fetcher.is_running
        await fetcher.aclose()


class TestFull:
    async def test_it_waits_for_room(self) -> None:
        store, pool = Store(three()), Pool(3)
        fetcher = fetch(store, pool)
        while not pool.waits:
            await turns()
        assert (fetcher.is_full, pool.waits) == (True, [None])
        pool.end_all()
        await soon(store.waited)
        assert len(store.limits) == 2
        await fetcher.aclose()

    async def test_it_waits_no_longer_than_until_more_is_due(self) -> None:
        store, pool = Store(Claim([make_delivery(number) for number in range(3)], 7.5)), Pool(3)
        fetcher = fetch(store, pool)
        while not pool.waits:
            await turns()
        assert pool.waits == [7.5]
        await fetcher.aclose()


class TestStopping:
    async def test_a_claim_under_way_is_not_cut(self) -> None:
        store, pool = Store(three()), Pool()
        store.let_through.clear()
        fetcher = fetch(store, pool)
        await soon(store.claimed)
        fetcher.stop()
        await fetcher.wait()
        draining = [asyncio.create_task(fetcher.drain(5)) for _ in range(2)]
        await turns()
        assert not any(drain.done() for drain in draining)
        store.let_through.set()
        await asyncio.gather(*draining)
        assert pool.started == ["0", "1", "2"]

    async def test_it_gets_only_so_long(self) -> None:
        store, pool = Store(three()), Pool()
        store.let_through.clear()
        fetcher = fetch(store, pool)
        await soon(store.claimed)
        fetcher.stop()
        await fetcher.drain(0.0)
        store.let_through.set()
        await turns()
        assert pool.started == []

    async def test_one_that_fails_then_is_no_error(self) -> None:
        store, pool = Store(BrokerError("away")), Pool()
        store.let_through.clear()
        fetcher = fetch(store, pool)
        await soon(store.claimed)
        fetcher.stop()
        store.let_through.set()
        await fetcher.drain(5)
        await fetcher.aclose()
        assert pool.started == []

    async def test_a_wait_is_cut(self) -> None:
        store = Store()
        fetcher = fetch(store, Pool())
        await soon(store.waited)
        fetcher.stop()
        fetcher.stop()
        await asyncio.wait_for(fetcher.wait(), 5)
        await fetcher.drain(0.0)
        assert len(store.limits) == 1


@pytest.mark.parametrize(
    ("takes", "lost", "renewed", "started"),
    [
        (0.1, [1], [], ["0", "1", "2"]),
        (LEASE, [], ["0", "1", "2"], ["0", "1", "2"]),
        (LEASE, [1], ["0", "1", "2"], ["0", "2"]),
        (LEASE, BrokerError("away"), ["0", "1", "2"], ["0", "1", "2"]),
    ],
    ids=["quick", "late", "too late for one", "nobody can tell"],
)
async def test_what_it_still_holds_is_started(
    takes: float, lost: Sequence[int] | BrokerError, renewed: list[str], started: list[str]
) -> None:
    """A claim that took long: its leases may be over, and then its tasks are somebody else's."""
    store, pool = Store(three(), takes=takes), Pool()
    store.lost = lost
    fetcher = fetch(store, pool)
    await soon(store.waited)
    await fetcher.aclose()
    assert (store.renewed, pool.started) == (renewed, started)


@pytest.mark.parametrize(("age", "renewed"), [(0.4 * LEASE, []), (0.6 * LEASE, ["0", "1", "2"])])
async def test_what_was_leased_long_before_the_claim_is_renewed(
    age: float, renewed: list[str]
) -> None:
    store, pool = Store(three(age=age)), Pool()
    fetcher = fetch(store, pool)
    await soon(store.waited)
    await fetcher.aclose()
    assert (store.renewed, pool.started) == (renewed, ["0", "1", "2"])


class TestWhatItWaitsFor:
    async def test_the_next_claim_is_told(self) -> None:
        store, pool = Store(three(), Claim([], None)), Pool(6)
        fetcher = fetch(store, pool)
        await soon(store.waited)
        store.waited.clear()
        store.work.set()
        await soon(store.waited)
        await fetcher.aclose()
        assert store.wanted == [(3, 3)] * 2
        assert store.limits == [6, 3]

    async def test_quick_tasks_of_an_idle_worker_end_before_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetcher_module, "_MOMENT", 30.0)
        store, pool = Store(three()), Pool()
        fetcher = fetch(store, pool)
        await eventually(lambda: pool.started)
        pool.end_all()
        await soon(store.waited)
        await fetcher.aclose()
        assert [running for _, running in store.wanted] == [0]

    async def test_long_ones_do_not_delay_it(self) -> None:
        store, pool = Store(three()), Pool()
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert [running for _, running in store.wanted] == [3]

    async def test_beside_others_it_begins_at_once(self) -> None:
        store, pool = Store(three()), Pool()
        pool.running.add("long")
        fetcher = fetch(store, pool)
        await soon(store.waited)
        await fetcher.aclose()
        assert pool.waits == []
        assert [running for _, running in store.wanted] == [4]

    async def test_a_burst_may_claim_before_the_wait_is_over(self) -> None:
        store, pool = Store(three()), Pool(6)
        fetcher = fetch(store, pool, burst=True)
        await soon(store.waited)
        await fetcher.aclose()
        assert store.wanted == [(0, 3)]
