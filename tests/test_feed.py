"""A feed: the states of one task, from a broker to one reader."""

import asyncio
import threading
from typing import Any

import pytest

from ltq.broker.feed import Feed, FeedTimeoutError
from ltq.errors import BrokerError
from ltq.state import Status, TaskState


def make_state(count: int = 0, status: Status = Status.PENDING) -> TaskState[bytes]:
    """A state; those of the same count are equal."""
    return TaskState(id="a", task_name="x:y", queue="x:y", status=status, dequeue_count=count)


FINAL = make_state(status=Status.COMPLETED)


@pytest.fixture
def closed() -> list[Feed]:
    """The feeds that said that they are closed."""
    return []


@pytest.fixture
async def feed(closed: list[Feed]) -> Feed:
    return Feed(closed.append)


async def reading(feed: Feed, timeout: float | None = 5.0) -> "asyncio.Task[Any]":
    """A reader that waits already."""
    task = asyncio.create_task(feed.get(timeout))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


class TestGet:
    async def test_states_come_in_their_order(self, feed: Feed) -> None:
        states = [make_state(count) for count in range(5)]
        for state in states:
            feed.put(state)
        assert [await feed.get() for _ in states] == states

    async def test_it_waits_for_the_next(self, feed: Feed) -> None:
        reader = await reading(feed, timeout=None)
        feed.put(FINAL)
        assert await reader == FINAL

    async def test_no_task_is_told_as_well(self, feed: Feed) -> None:
        feed.put(None)
        assert await feed.get() is None

    async def test_a_slow_reader_gets_the_newest(self, feed: Feed) -> None:
        for count in range(1000):
            feed.put(make_state(count))
        feed.put(FINAL)
        kept: list[TaskState[bytes] | None] = []
        while not kept or kept[-1] != FINAL:
            kept.append(await feed.get(timeout=0))
        assert len(kept) == 64
        assert kept[0] == make_state(937)

    async def test_a_cancelled_reader_takes_nothing_with_it(self, feed: Feed) -> None:
        reader = await reading(feed)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        feed.put(FINAL)
        assert await feed.get() == FINAL


class TestTimeout:
    @pytest.mark.parametrize("timeout", [0.01, 0, -1])
    async def test_it_is_an_error_of_its_own(self, feed: Feed, timeout: float) -> None:
        with pytest.raises(FeedTimeoutError):
            await feed.get(timeout)

    @pytest.mark.parametrize("timeout", [0, -1])
    async def test_what_is_there_comes_all_the_same(self, feed: Feed, timeout: float) -> None:
        feed.put(FINAL)
        assert await feed.get(timeout) == FINAL

    async def test_what_comes_too_late_is_there_for_the_next(self, feed: Feed) -> None:
        with pytest.raises(FeedTimeoutError):
            await feed.get(0.001)
        feed.put(FINAL)
        assert await feed.get(0) == FINAL

    async def test_what_comes_in_the_very_moment_is_there_for_the_next(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.005, feed.put, FINAL)
        try:
            state = await feed.get(0.005)
        except FeedTimeoutError:
            state = await feed.get(1)
        assert state == FINAL


class TestPutChanged:
    async def test_the_first_is_always_new(self, feed: Feed) -> None:
        before, new = feed.started, feed.put_changed(None)
        assert (before, new, feed.started) == (False, True, True)
        assert not feed.put_changed(None)

    async def test_the_same_again_is_not(self, feed: Feed) -> None:
        assert feed.put_changed(make_state(1))
        assert not feed.put_changed(make_state(1))
        assert feed.put_changed(make_state(2))
        assert feed.put_changed(make_state(1))
        counts = [state.dequeue_count for _ in range(3) if (state := await feed.get())]
        assert counts == [1, 2, 1]

    async def test_what_was_read_meanwhile_is_not_new_either(self, feed: Feed) -> None:
        feed.put(FINAL)
        await feed.get()
        assert not feed.put_changed(FINAL)


class TestOtherThreads:
    async def test_a_state_may_come_from_one(self, feed: Feed) -> None:
        reader = await reading(feed)
        thread = threading.Thread(target=feed.put_threadsafe, args=[FINAL])
        thread.start()
        assert await reader == FINAL
        thread.join()

    def test_nothing_happens_when_the_loop_has_ended(self) -> None:
        async def make() -> Feed:
            return Feed(lambda _: None)

        asyncio.run(make()).put_threadsafe(FINAL)


class TestFail:
    async def test_a_waiting_reader_gets_the_error(self, feed: Feed) -> None:
        reader = await reading(feed)
        feed.fail(BrokerError("away"))
        with pytest.raises(BrokerError, match="away"):
            await reader

    async def test_first_comes_what_was_there(self, feed: Feed) -> None:
        feed.put(FINAL)
        feed.fail(BrokerError("away"))
        assert await feed.get() == FINAL
        for _ in range(2):
            with pytest.raises(BrokerError, match="away"):
                await feed.get()


class TestClose:
    async def test_it_is_told_once(self, feed: Feed, closed: list[Feed]) -> None:
        feed.close()
        feed.close()
        assert closed == [feed]

    async def test_what_is_put_then_does_no_harm(self, feed: Feed) -> None:
        feed.close()
        feed.put(FINAL)
        feed.put_changed(None)
        feed.fail(BrokerError("away"))
