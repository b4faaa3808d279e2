"""Following many tasks: what is read when, and what feeds get."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar

import pytest

from ltq.broker.feed import FeedTimeoutError
from ltq.brokers import _follow
from ltq.brokers._follow import READ_BATCH, Follower, TaskKey
from ltq.errors import BrokerError
from ltq.state import Status, TaskState
from tests.eventually import eventually

TARGET = ("x", "a")

request: ContextVar[str] = ContextVar("request", default="none")


def make_state(task_id: str, count: int = 0) -> TaskState[bytes]:
    return TaskState(
        id=task_id, task_name="x:y", queue="x:y", status=Status.WORKING, dequeue_count=count
    )


class FakeStore:
    """A store of states, which remembers how it was read."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, TaskState[bytes]] = {}
        self.reads: list[tuple[str, list[str]]] = []
        self.subscribed: set[TaskKey] = set()
        self.requests: set[str] = set()
        self.error: BrokerError | None = None
        self.paused = asyncio.Event()
        self.paused.set()
        """Cleared while reads, which have found something, do not return it."""
        self.reading: list[list[str]] = []
        self.most = READ_BATCH
        """How many states it returns at once."""

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        self.reads.append((namespace, list(ids)))
        found = [self.tasks.get((namespace, task_id)) for task_id in ids[: self.most]]
        self.reading.append(list(ids))
        await self.paused.wait()
        self.reading.remove(list(ids))
        self.requests.add(request.get())
        if self.error is not None:
            raise self.error
        return found

    def subscribe(self, task: TaskKey) -> None:
        assert task not in self.subscribed
        self.subscribed.add(task)

    def unsubscribe(self, task: TaskKey) -> None:
        self.subscribed.remove(task)

    def set(self, task_id: str, count: int = 0) -> TaskState[bytes]:
        """Change a task."""
        state = self.tasks["x", task_id] = make_state(task_id, count)
        return state


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def follower(store: FakeStore) -> AsyncIterator[Follower]:
    follower = Follower(store)
    yield follower
    await follower.aclose()


@pytest.fixture
def notified(follower: Follower) -> Follower:
    """One whose store sends notifications."""
    follower.trust_notifications()
    return follower


async def read_once(follower: Follower, task: TaskKey) -> None:
    """Mark a task, and wait until what is marked was read."""
    barrier = follower.feed(("x", "barrier"))
    follower.mark(task)
    follower.mark(("x", "barrier"))
    await barrier.get(1.0)
    barrier.close()


class TestNotified:
    async def test_a_feed_begins_once_its_subscription_holds(
        self, notified: Follower, store: FakeStore
    ) -> None:
        state = store.set("a")
        feed = notified.feed(("x", "a"))
        assert store.subscribed == {("x", "a")}
        with pytest.raises(FeedTimeoutError):
            await feed.get(0.01)
        notified.mark(("x", "a"))
        assert await feed.get(1.0) == state

    async def test_a_further_feed_of_a_task_begins_at_once(
        self, notified: Follower, store: FakeStore
    ) -> None:
        state = store.set("a")
        feeds = [notified.feed(("x", "a")) for _ in range(2)]
        assert [await feed.get(1.0) for feed in feeds] == [state, state]

    async def test_what_is_marked_together_is_read_together(
        self, notified: Follower, store: FakeStore
    ) -> None:
        ids = [str(number) for number in range(READ_BATCH + 1)]
        feeds = [notified.feed(("x", task_id)) for task_id in ids]
        other = notified.feed(("y", "a"))
        for task_id in ids:
            notified.mark(("x", task_id))
            notified.mark(("x", task_id))
        notified.mark(("y", "a"))
        for feed in (*feeds, other):
            assert await feed.get(1.0) is None
        assert store.reads == [("x", ids[:READ_BATCH]), ("x", ids[READ_BATCH:]), ("y", ["a"])]

    async def test_only_another_state_is_passed_on(
        self, notified: Follower, store: FakeStore
    ) -> None:
        first, feed = store.set("a"), notified.feed(("x", "a"))
        for _ in range(3):
            await read_once(notified, ("x", "a"))
        second = store.set("a", 1)
        await read_once(notified, ("x", "a"))
        assert [await feed.get(0), await feed.get(0)] == [first, second]

    async def test_nobody_is_read_who_is_not_followed(
        self, notified: Follower, store: FakeStore
    ) -> None:
        feed = notified.feed(("x", "a"))
        notified.mark(("x", "a"))
        feed.close()
        await read_once(notified, ("x", "stranger"))
        assert store.subscribed == set()
        assert store.reads == [("x", ["barrier"])]

    async def test_a_lost_notification_is_covered_by_a_slow_read(
        self, notified: Follower, store: FakeStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_follow, "SLOW_REREAD", 0.05)
        feed = notified.feed(("x", "a"))
        state = store.set("a")
        assert await feed.get(1.0) == state

    async def test_notifications_that_come_back_let_everything_be_read(
        self, notified: Follower, store: FakeStore
    ) -> None:
        feed = notified.feed(("x", "a"))
        notified.trust_notifications()
        assert await feed.get(1.0) is None
        assert store.reads == [("x", ["a"])]


class TestPolling:
    async def test_changes_are_found(self, follower: Follower, store: FakeStore) -> None:
        feed = follower.feed(("x", "a"))
        assert await feed.get(1.0) is None
        state = store.set("a")
        assert await feed.get(1.0) == state

    async def test_it_begins_at_once_when_notifications_stop(
        self, notified: Follower, store: FakeStore
    ) -> None:
        feed = notified.feed(("x", "a"))
        await eventually(lambda: notified.is_running)
        notified.poll()
        assert await feed.get(1.0) is None

    async def test_it_slows_down_while_nothing_changes(
        self, follower: Follower, store: FakeStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        feed = follower.feed(("x", "a"))
        assert await feed.get(1.0) is None
        await eventually(lambda: follower._pause > 4 * _follow.FASTEST_POLL)
        state = store.set("a")
        assert await feed.get(1.0) == state
        assert follower._pause <= _follow.FASTEST_POLL * 1.5

    async def test_it_ends_with_the_last_feed(self, follower: Follower) -> None:
        follower.feed(("x", "a")).close()
        assert await follower.drain(1.0)
        assert not follower.is_running


class TestErrors:
    async def test_who_has_begun_waits_until_the_store_is_back(
        self, follower: Follower, store: FakeStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_follow, "_AWAY_PAUSE", 0.01)
        begun = follower.feed(("x", "a"))
        assert await begun.get(1.0) is None
        store.error = BrokerError("away")
        late = follower.feed(("x", "b"))
        with pytest.raises(BrokerError, match="away"):
            await late.get(1.0)
        store.error = None
        state = store.set("a")
        assert await begun.get(1.0) == state

    async def test_a_refusal_holds_until_it_is_taken_back(self, follower: Follower) -> None:
        before = follower.feed(("x", "a"))
        follower.refuse(BrokerError("no"))
        for feed in (before, follower.feed(("x", "b"))):
            with pytest.raises(BrokerError, match="no"):
                await feed.get(1.0)
        follower.accept()
        assert await follower.feed(("x", "b")).get(1.0) is None

    async def test_closing_lets_open_feeds_fail(self, follower: Follower, store: FakeStore) -> None:
        feed = follower.feed(("x", "a"))
        await follower.aclose()
        with pytest.raises(BrokerError, match="closed"):
            await feed.get(1.0)
        feed.close()
        assert not follower.is_running


class TestFeeds:
    async def test_who_waits_for_the_end_needs_nothing_before(self, follower: Follower) -> None:
        first, second = (follower.feed(("x", "a")) for _ in range(2))
        first.only_end = True
        assert not follower.waits_for_the_end(("x", "a"))
        second.only_end = True
        assert follower.waits_for_the_end(("x", "a"))

    async def test_reading_knows_nothing_of_who_asked_first(
        self, follower: Follower, store: FakeStore
    ) -> None:
        token = request.set("mine")
        feed = follower.feed(("x", "a"))
        request.reset(token)
        await feed.get(1.0)
        assert store.requests == {"none"}

    async def test_its_tasks_have_names(self, follower: Follower) -> None:
        follower.feed(("x", "a"))
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"ltq-follower", "ltq-follower-read"} <= names


async def test_a_store_may_return_only_the_first_ones(follower: Follower, store: FakeStore) -> None:
    """So that large results arrive one after the other."""
    store.most = 2
    states = [store.set(f"{number}") for number in range(5)]
    feeds = [follower.feed(("x", state.id)) for state in states]
    async with asyncio.timeout(5):
        assert [await feed.get() for feed in feeds] == states
    assert [len(ids) for _, ids in store.reads[:3]] == [5, 3, 1]


class TestPutEnd:
    """A state that a store sends with the notification."""

    async def test_it_is_put_without_a_read(self, store: FakeStore, notified: Follower) -> None:
        store.set("a")
        feed = notified.feed(TARGET)
        notified.mark(TARGET)
        await feed.get(5)
        reads = len(store.reads)
        notified.put_end(TARGET, make_state("a", 1))
        assert await feed.get(5) == make_state("a", 1)
        assert len(store.reads) == reads

    async def test_a_feed_without_a_state_gets_a_later_one(
        self, store: FakeStore, notified: Follower
    ) -> None:
        """It was perhaps opened after that read, by somebody who knows more."""
        present = store.set("a", 2)
        feed = notified.feed(TARGET)
        notified.put_end(TARGET, make_state("a", 1))
        assert await feed.get(5) == present

    async def test_an_older_read_in_progress_does_not_hide_it(
        self, store: FakeStore, notified: Follower
    ) -> None:
        store.set("a")
        feed = notified.feed(TARGET)
        notified.mark(TARGET)
        await feed.get(5)
        store.paused.clear()
        notified.mark(TARGET)
        await eventually(lambda: store.reading == [["a"]])
        notified.put_end(TARGET, store.set("a", 1))
        store.paused.set()
        assert await feed.get(5) == make_state("a", 1)
        await eventually(lambda: not store.reading)
        with pytest.raises(FeedTimeoutError):
            await feed.get(0)

    async def test_who_has_closed_gets_nothing(self, store: FakeStore, notified: Follower) -> None:
        store.set("a")
        feed = notified.feed(TARGET)
        notified.mark(TARGET)
        await feed.get(5)
        feed.close()
        notified.put_end(TARGET, make_state("a", 1))
        with pytest.raises(FeedTimeoutError):
            await feed.get(0)
