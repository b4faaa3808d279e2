"""Polling for a reply instead of sleeping until it comes: how long, and when not."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

import ltq
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.busy_poll import BusyPoll
from ltq.brokers.redis._server.link import Link
from tests.elapse import elapse

QUICK, LATE = 60.0, 1e-9
"""Budgets within which every reply comes here, and none."""

HOUR = 3600.0


class Naps:
    """How long the loop let itself sleep, each time that it looked for events."""

    def __init__(self) -> None:
        self.all: list[float | None] = []

    async def during(self, waiting: Any) -> list[float | None]:
        """Those taken while something is awaited."""
        self.all.clear()
        await waiting
        return [*self.all]


@pytest.fixture
async def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select, naps = selector.select, Naps()

    def spy(timeout: float | None = None) -> Any:
        naps.all.append(timeout)
        return select(timeout)

    monkeypatch.setattr(selector, "select", spy)
    return naps


async def pause() -> None:
    """A while in which a loop that may sleep does."""
    moment = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, moment.set)
    await moment.wait()


def is_awake(naps: list[float | None]) -> bool:
    return len(naps) > 2 and set(naps) == {0}


def slept(naps: list[float | None]) -> bool:
    return any(nap is None or nap > 0.005 for nap in naps)


async def polled(poll: BusyPoll, naps: Naps, calls: int) -> list[bool]:
    """Make calls one after the other; for which of them did the loop stay awake?"""
    found = []
    for _ in range(calls):
        began = poll.begin()
        found.append(not slept(await naps.during(pause())))
        poll.end(began)
    return found


def tried(poll: BusyPoll, calls: int) -> list[bool]:
    """Make calls that are answered at once; which of them were to be polled for?"""
    begun = []
    for _ in range(calls):
        begun.append(poll.begin())
        poll.end(begun[-1])
    return [began > 0 for began in begun]


class TestAwake:
    async def test_the_loop_does_not_sleep_until_the_reply(self, naps: Naps) -> None:
        poll = BusyPoll(QUICK)
        for _ in range(3):
            began = poll.begin()
            assert is_awake(await naps.during(pause()))
            poll.end(began)
            assert slept(await naps.during(pause())), "nothing is due"

    async def test_it_gives_up_and_sleeps(self, naps: Naps) -> None:
        assert any([await self.sleeps_behind_it(naps) for _ in range(5)])

    @staticmethod
    async def sleeps_behind_it(naps: Naps) -> bool:
        """Whether it slept; a busy machine may take the whole pause for itself."""
        poll = BusyPoll(0.001)
        began = poll.begin()
        has_slept = slept(await naps.during(pause()))
        poll.end(began)
        return has_slept

    async def test_a_later_call_is_polled_for_as_long(self, naps: Naps) -> None:
        poll = BusyPoll(HOUR)
        first = poll.begin()
        poll._until = 0.0  # an hour later
        second = poll.begin()
        assert is_awake(await naps.during(pause()))
        poll.end(first)
        poll.end(second)

    async def test_any_of_several_replies_is_polled_for(self, naps: Naps) -> None:
        poll = BusyPoll(QUICK)
        first, second = poll.begin(), poll.begin()
        poll.end(first)
        assert is_awake(await naps.during(pause()))
        poll.end(second)
        assert slept(await naps.during(pause()))

    async def test_several_calls_turn_the_loop_no_quicker(self) -> None:
        poll = BusyPoll(QUICK)
        soon: list[Any] = []
        loop: Any = SimpleNamespace(call_soon=lambda turn, *, context: soon.append(turn))
        poll._loop = loop
        begun = [poll.begin() for _ in range(10)]
        assert soon == [poll._turn]
        poll._turn()
        assert soon == [poll._turn] * 2
        for began in begun:
            poll.end(began)
        poll._turn()
        assert len(soon) == 2
        poll.begin()
        assert len(soon) == 3, "it begins again"

    async def test_without_a_budget_it_never_polls(self, naps: Naps) -> None:
        poll = BusyPoll(0.0)
        assert await polled(poll, naps, 3) == [False] * 3
        assert tried(poll, 1000) == [False] * 1000


class TestLateReplies:
    async def test_it_soon_polls_for_few_calls_only(self) -> None:
        found = tried(BusyPoll(LATE), 10_000)
        assert found[:2] == [True, True], "one late reply may be chance"
        assert sum(found) < 10_000 / 62 + 10
        assert any(found[-63:]), "it tries again, now and then"

    async def test_after_a_quick_one_it_polls_for_all_again(self) -> None:
        poll = BusyPoll(LATE)
        tried(poll, 1000)
        poll._budget = QUICK
        found = tried(poll, 100)
        assert found.index(True) <= 62
        assert all(found[found.index(True) :])
        poll._budget = LATE
        assert tried(poll, 2) == [True, True], "late ones before are forgotten"


class TestLink:
    @pytest.fixture
    async def link(self, redis_url: str) -> AsyncIterator[Link]:
        link = RedisBroker(redis_url)._opening.new_link()
        link._poll._budget = QUICK
        await link.call("PING")
        yield link
        await link.aclose()

    async def test_a_call_is_polled_for_and_a_blocking_one_is_not(
        self, naps: Naps, link: Link
    ) -> None:
        for _ in range(3):
            await pause()  # what the last call began is over
            assert set(await naps.during(link.call("SET", "key", b"x" * 1_000_000))) == {0}
        await pause()
        assert slept(await naps.during(link.block("BLPOP", "nothing", 0.05, patience=5)))

    async def test_a_call_that_fails_or_is_cancelled_is_polled_for_no_longer(
        self, naps: Naps, link: Link
    ) -> None:
        with pytest.raises(ltq.BrokerError):
            await link.call("NOSUCH")
        assert slept(await naps.during(pause()))
        call = asyncio.ensure_future(link.call("BLPOP", "nothing", 5))
        await elapse(0.001, "the call is under way")
        call.cancel()
        await asyncio.wait([call])
        assert link._poll._due == 0
        assert slept(await naps.during(pause()))


class TestUrl:
    @pytest.mark.parametrize("value", ["-1", "x", "1.5", "10001", "\u0665", "250us"])
    def test_what_is_no_time_is_told_at_once(self, value: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match="microseconds, from 0") as told:
            Broker.from_url(f"redis://localhost?busy_poll={value}")
        assert f"busy_poll={value!r}" in str(told.value)

    @pytest.mark.parametrize(("query", "budget"), [("", 0.00025), ("?busy_poll=0", 0.0)])
    async def test_it_says_how_long(self, query: str, budget: float, redis_url: str) -> None:
        link = RedisBroker(redis_url + query)._opening.new_link()
        assert link._poll._budget == budget
        assert await link.call("PING") == b"PONG"
        await link.aclose()
