"""Room for tasks that need isolation: waiting for it, and keeping it."""

import asyncio

from ltq._worker.isolation import WAIT_AGAIN_AFTER, IsolationLimits, IsolationWait
from ltq.broker import Claim
from ltq.broker.isolation import ISOLATION
from tests.worker.doubles import make_lease


class Stand:
    def __init__(self) -> None:
        self.now = 1000.0
        self.wait = IsolationWait(clock=lambda: self.now)

    def learn(self, isolation: int | None, limit: int = 10) -> None:
        self.wait.learn(Claim([], None, isolation=isolation), limit)


class TestWait:
    def test_nothing_is_waited_for_at_first(self) -> None:
        stand = Stand()
        assert stand.wait.seconds_left(100) == 0
        assert not stand.wait.has_failed(100)

    def test_while_too_many_run_it_waits(self) -> None:
        stand = Stand()
        stand.learn(3)
        assert stand.wait.seconds_left(3) == ISOLATION
        stand.now += 2
        assert stand.wait.seconds_left(4) == ISOLATION - 2
        assert stand.wait.seconds_left(2) == 0
        assert not stand.wait.has_failed(2)

    def test_in_vain_it_ends(self) -> None:
        stand = Stand()
        stand.learn(1)
        stand.now += ISOLATION
        assert stand.wait.seconds_left(1) == 0
        assert stand.wait.has_failed(1)
        assert not stand.wait.has_failed(0)

    def test_soon_after_that_it_does_not_wait_again(self) -> None:
        stand = Stand()
        stand.learn(1)
        stand.now += ISOLATION + WAIT_AGAIN_AFTER - 1
        stand.learn(1)
        assert stand.wait.has_failed(1)
        stand.now += 1
        stand.learn(1)
        assert stand.wait.seconds_left(1) == ISOLATION

    def test_a_claim_that_left_none_ends_it(self) -> None:
        stand = Stand()
        stand.learn(1)
        stand.learn(None)
        assert stand.wait.seconds_left(5) == 0
        assert not stand.wait.has_failed(5)

    def test_a_claim_of_nothing_says_nothing(self) -> None:
        stand = Stand()
        stand.learn(1)
        stand.learn(None, limit=0)
        assert stand.wait.seconds_left(5) == ISOLATION


class TestLimits:
    async def test_the_smallest_counts(self) -> None:
        limits = IsolationLimits(ended=lambda: None)
        assert not limits
        limits.add(make_lease(1), 10)
        limits.add(make_lease(2), 1)
        limits.add(make_lease(3), 100)
        assert limits.smallest() == 1
        limits.discard(make_lease(2))
        assert limits.smallest() == 10
        for number in (1, 3, 7):
            limits.discard(make_lease(number))
        assert not limits

    async def test_after_its_time_one_counts_no_longer(self) -> None:
        ended = asyncio.Event()
        limits = IsolationLimits(ended=ended.set, hold=0.0)
        limits.add(make_lease(1), 1)
        async with asyncio.timeout(5):
            await ended.wait()
        assert not limits

    async def test_one_that_ended_before_is_not_told_of(self) -> None:
        ended = list[int]()
        limits = IsolationLimits(ended=lambda: ended.append(1), hold=0.0)
        limits.add(make_lease(1), 1)
        limits.discard(make_lease(1))
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(0.001, later.set)
        await later.wait()
        assert ended == []
