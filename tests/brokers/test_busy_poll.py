"""Polling for a reply instead of sleeping until it comes: how long, and when not."""

import asyncio
from typing import Any

import pytest

import ltq
from ltq.brokers import _busy_poll
from ltq.brokers._busy_poll import BusyPoll
from ltq.brokers._link import Link
from ltq.brokers.redis import RedisBroker

QUICK = 60.0
"""A budget that no reply here exceeds."""


@pytest.fixture
async def naps(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long the loop let itself sleep, each time that it looked for events."""
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select, naps = selector.select, list[float | None]()

    def spy(timeout: float | None = None) -> Any:
        naps.append(timeout)
        return select(timeout)

    monkeypatch.setattr(selector, "select", spy)
    return naps


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> float:
    value: float = request.param
    monkeypatch.setattr(_busy_poll, "BUDGET", value)
    return value


def is_asleep(naps: list[float | None]) -> bool:
    return any(nap is None or nap > 0.005 for nap in naps)


def polled(poll: BusyPoll, calls: int) -> list[bool]:
    """Make calls that are answered at once; which of them were polled for."""
    begun = []
    for _ in range(calls):
        begun.append(poll.begin())
        poll.end(begun[-1])
    return [began > 0 for began in begun]


class TestAwake:
    @pytest.mark.parametrize("budget", [QUICK], indirect=True)
    async def test_the_loop_does_not_sleep_until_the_reply(
        self, naps: list[float | None], budget: float
    ) -> None:
        poll = BusyPoll()
        began = poll.begin()
        naps.clear()
        await asyncio.sleep(0.01)
        assert len(naps) > 2
        assert set(naps) == {0}
        poll.end(began)
        await asyncio.sleep(0)
        naps.clear()
        await asyncio.sleep(0.01)
        assert is_asleep(naps)

    @pytest.mark.parametrize("budget", [0.005], indirect=True)
    async def test_it_gives_up_and_sleeps(self, naps: list[float | None], budget: float) -> None:
        poll = BusyPoll()
        began = poll.begin()
        await asyncio.sleep(0.05)  # a reply that is long in coming
        assert is_asleep(naps)
        poll.end(began)

    @pytest.mark.parametrize("budget", [QUICK], indirect=True)
    async def test_others_go_on_meanwhile(self, budget: float) -> None:
        poll = BusyPoll()
        began = poll.begin()
        done: list[int] = []

        async def work(number: int) -> None:
            await asyncio.sleep(0.001)
            done.append(number)

        await asyncio.gather(*map(work, range(20)))
        assert len(done) == 20
        poll.end(began)

    @pytest.mark.parametrize("budget", [QUICK], indirect=True)
    async def test_it_polls_as_long_as_any_of_several_replies_is_due(
        self, naps: list[float | None], budget: float
    ) -> None:
        poll = BusyPoll()
        first, second = poll.begin(), poll.begin()
        poll.end(first)
        naps.clear()
        await asyncio.sleep(0.01)
        assert set(naps) == {0}
        poll.end(second)


class TestLateReplies:
    @pytest.mark.parametrize("budget", [-1.0], indirect=True)
    async def test_it_soon_polls_for_few_calls_only(self, budget: float) -> None:
        tried = polled(BusyPoll(), 10_000)
        assert tried[:2] == [True, True], "one late reply may be chance"
        assert sum(tried) < 10_000 / 62 + 10
        assert any(tried[-63:]), "it tries again, now and then"

    async def test_a_quick_one_after_them_makes_it_poll_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poll = BusyPoll()
        monkeypatch.setattr(_busy_poll, "BUDGET", -1.0)
        polled(poll, 1000)
        monkeypatch.setattr(_busy_poll, "BUDGET", QUICK)
        tried = polled(poll, 100)
        assert tried.index(True) <= 62
        assert all(tried[tried.index(True) :])


class TestLink:
    @pytest.mark.parametrize("budget", [QUICK], indirect=True)
    async def test_a_call_is_polled_for_and_a_blocking_one_is_not(
        self, naps: list[float | None], budget: float, redis_url: str
    ) -> None:
        link = RedisBroker(redis_url).new_link()
        await link.call("PING")
        naps.clear()
        await link.call("PING")
        assert set(naps) <= {0}
        await asyncio.sleep(0)
        naps.clear()
        await link.block("BLPOP", "nothing", 0.05, patience=5)
        assert is_asleep(naps)
        await link.aclose()

    @pytest.mark.parametrize("budget", [QUICK], indirect=True)
    async def test_a_call_that_fails_or_is_cancelled_is_polled_for_no_longer(
        self, naps: list[float | None], budget: float, redis_url: str
    ) -> None:
        broker = RedisBroker(redis_url)
        link: Link = broker.new_link()
        with pytest.raises(ltq.BrokerError):
            await link.call("NOSUCH")
        call = asyncio.ensure_future(link.call("BLPOP", "nothing", 5))
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.sleep(0)
        naps.clear()
        await asyncio.sleep(0.05)
        assert is_asleep(naps)
        await link.aclose()
