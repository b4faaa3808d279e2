"""`finish` tells the states of tasks that complete to those who watch them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ltq import Priority, Status
from ltq.brokers.redis import RedisBroker, _watch_hub
from ltq.brokers.redis._scripts.arguments import is_told
from ltq.brokers.redis._scripts.replies import told_state
from ltq.brokers.redis._server.keys import keyspace
from ltq.message import Envelope, Finish, Lease, Outcome, Requeue
from ltq.names import namespace_of
from ltq.state import TaskState
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.brokers.notified import note_reads, trusts_notifications
from tests.conformance.factories import QUEUE, claim_one, make_envelope, publish
from tests.eventually import eventually
from tests.for_each import for_each

LEASE = Lease(QUEUE, "1", 1)

DONE = Finish(LEASE, Status.COMPLETED, b"1")


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        await ended(broker, await publish(broker))
        await trusts_notifications(broker)
        yield broker


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return note_reads(monkeypatch)


async def ended(broker: RedisBroker, envelope: Envelope, result: bytes = b"1") -> TaskState[bytes]:
    """The state of a task that ends while it is waited for, as who waits sees it."""
    waiting = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=PATIENCE))
    await eventually(lambda: is_started(broker, envelope.id))
    delivery = await claim_one(broker, broker.consumer([QUEUE]))
    await broker.release(delivery.lease, result=result)
    return await waiting


def is_started(broker: RedisBroker, task_id: str) -> bool:
    """Whether who watches this task has read it once."""
    follower = broker._here().hubs.of(namespace_of(QUEUE))._follower
    feeds = follower._feeds.get((namespace_of(QUEUE), task_id), ())
    return any(feed.started for feed in feeds)


OPTIONS: dict[str, dict[str, Any]] = {
    "without options": {},
    "with a priority": {"priority": Priority.HIGH},
    "with tags": {"tags": ("a", "b")},
    "whose arguments are kept": {"keep_body": True, "body": b'[["line\\n"],{}]'},
    "of another serializer": {"serializer": "pickle"},
    "with a timeout": {"timeout": 3.5, "max_tries": 3},
}


async def test_the_state_is_told_as_it_would_be_read(
    broker: RedisBroker, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for title, options in OPTIONS.items():
        envelope = make_envelope(**options)
        await broker.publish([envelope])
        told = await ended(broker, envelope, b'"a\nb"')
        assert reads == [envelope.id], title  # once, before it ended
        assert told == await broker.state(QUEUE, envelope.id), title
        assert told.result == b'"a\nb"'
        reads.clear()


async def test_a_second_delivery_is_told_too(broker: RedisBroker, reads: list[str]) -> None:
    envelope = await publish(broker)
    consumer = broker.consumer([QUEUE])
    await broker.finish([Requeue((await claim_one(broker, consumer)).lease, failed=True)])
    told = await ended(broker, envelope)
    assert (told.dequeue_count, told.tries) == (2, 1)
    assert told == await broker.state(QUEUE, envelope.id)
    assert reads == [envelope.id]


async def test_a_watcher_sees_the_end_once(broker: RedisBroker) -> None:
    envelope = await publish(broker)

    async def watch() -> list[Status]:
        states = broker.watch(QUEUE, envelope.id, timeout=PATIENCE)
        return [state.status async for state in states]

    watching = asyncio.create_task(watch())
    await eventually(lambda: is_started(broker, envelope.id))
    delivery = await claim_one(broker, broker.consumer([QUEUE]))
    await broker.release(delivery.lease, result=b"1")
    seen = await watching
    assert (seen[0], seen[-1]) == (Status.PENDING, Status.COMPLETED)
    assert seen.count(Status.COMPLETED) == 1


async def test_a_large_result_is_read(broker: RedisBroker, reads: list[str]) -> None:
    envelope = await publish(broker)
    large = b'"' + b"x" * 5000 + b'"'
    assert (await ended(broker, envelope, large)).result == large
    assert reads == [envelope.id] * 2


async def test_a_worker_that_tells_nothing_is_understood(
    broker: RedisBroker, reads: list[str]
) -> None:
    """As one of an earlier release, or in a cluster."""
    broker._here().links.any.tells_in = ""
    envelope = await publish(broker)
    assert (await ended(broker, envelope)).status is Status.COMPLETED
    assert reads == [envelope.id] * 2


async def test_who_does_not_understand_reads(
    broker: RedisBroker, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_hub, "told_state", lambda *_: None)
    envelope = await publish(broker)
    assert (await ended(broker, envelope)).status is Status.COMPLETED
    assert reads[:2] == [envelope.id] * 2


async def test_a_later_reader_does_not_believe_what_was_on_its_way(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of an earlier life of the task."""
    envelope = await publish(broker)
    first = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=PATIENCE))
    await eventually(lambda: is_started(broker, envelope.id))
    hub, link = broker._here().hubs.of(namespace_of(QUEUE)), broker._here().links.any
    later = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=PATIENCE))
    await asyncio.sleep(0)  # its feed is open now
    channel = keyspace(link.database, link.keys.task(namespace_of(QUEUE), envelope.id))
    hub._receive(channel, b"1\nstatus\ncompleted\ntask\nshop\n1")
    assert not later.done()
    delivery = await claim_one(broker, broker.consumer([QUEUE]))
    await broker.release(delivery.lease, result=b"2")
    assert (await later).result == b"2"
    await first


async def test_what_was_on_its_way_is_not_believed_after_a_later_read_either(
    broker: RedisBroker,
) -> None:
    """It may be of an earlier life: reads come on another connection, and may overtake it."""
    envelope = await publish(broker)
    first = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=PATIENCE))
    await eventually(lambda: is_started(broker, envelope.id))
    hub, link = broker._here().hubs.of(namespace_of(QUEUE)), broker._here().links.any
    later = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=PATIENCE))
    feeds = hub._follower._feeds[namespace_of(QUEUE), envelope.id]
    await eventually(lambda: len(feeds) == 2 and all(feed.started for feed in feeds))
    channel = keyspace(link.database, link.keys.task(namespace_of(QUEUE), envelope.id))
    hub._receive(channel, b"1\nstatus\ncompleted\ntask\nshop\n1")
    delivery = await claim_one(broker, broker.consumer([QUEUE]))
    await broker.release(delivery.lease, result=b"2")
    assert (await later).result == b"2"
    await first


async def test_a_cluster_and_who_polls_are_told_nothing() -> None:
    for url, told in {
        "redis://localhost/3": "3",
        "redis+sentinel://localhost/mymaster/2": "2",
        "redis://localhost/3?notifications=poll": "",
        "redis+cluster://localhost": "",
    }.items():
        async with RedisBroker(url) as broker:
            assert broker._here().link(QUEUE).tells_in == told, url


UNTOLD = (
    [DONE, DONE, DONE],
    [Finish(LEASE, Status.COMPLETED, b"x" * 5000)],
    [Finish(LEASE, Status.COMPLETED, b"1", result_ttl=0)],
    [DONE, Finish(LEASE, Status.FAILED)],
    [Requeue(LEASE)],
)


@for_each("outcomes", UNTOLD)
def test_what_is_not_told(outcomes: list[Outcome]) -> None:
    assert is_told([DONE])
    assert is_told([DONE, DONE])
    assert not is_told(outcomes)


TEXTS = (
    b"expire",
    b"",
    b"7",
    b"9" * 5000 + b"\n1",
    b"1\n",
    b"9\nstatus\ncompleted\n1",
    b"1\nstatus\ncompleted\nodd\n1",
    b"1\nstatus\nworking\ntask\nshop\n1",
    b"1\nstatus\nno such one\ntask\nshop\n1",
    b"1\nstatus\ncompleted1",
)


@for_each("text", TEXTS)
def test_what_tells_no_final_state(text: bytes) -> None:
    assert told_state("1", text) is None


def test_a_told_state() -> None:
    state = told_state("1", b"3\nstatus\ncompleted\ntask\nshop\na\nb")
    assert state is not None
    assert (state.status, state.task_name, state.result) == (Status.COMPLETED, "shop", b"a\nb")
