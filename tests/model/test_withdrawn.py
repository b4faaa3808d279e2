"""Cancelled tasks whose entries stay in ready lists are as good as removed."""

import os
from collections.abc import Iterator

import pytest

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import texts
from ltq.message import Envelope, Requeue
from ltq.names import new_id
from tests.model.withdrawn import Withdrawn

WALKS = max(2, int(os.environ.get("LTQ_MODEL_EXAMPLES", "60")) // 30)


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(params=[(0, 0), (0, 1000), (20, 20), (5000, 1000)])
def no_list_is_short(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Entries stay in ready lists of any length, which are written anew up to some length."""
    monkeypatch.setitem(texts.CONSTANTS, "SHORT_LIST", 0)
    monkeypatch.setitem(texts.CONSTANTS, "REWRITTEN_LIST", request.param[0])
    monkeypatch.setitem(texts.CONSTANTS, "MOST_SKIPPED", request.param[1])
    _forget_texts()
    yield
    _forget_texts()


def _forget_texts() -> None:
    texts.source.cache_clear()
    texts.sha.cache_clear()


@pytest.mark.usefixtures("no_list_is_short")
async def test_the_order_of_what_was_put_back_looks_through_them(server: RedisServer) -> None:
    """What was requeued to the front stays in the order of its claims."""
    async with RedisBroker(server.url) as broker, broker.consumer(["front"]) as consumer:
        await broker.clear("front")
        new = [new_id() for _ in range(6)]
        envelopes = [Envelope(id=i, queue="front", task_name="front", body=b"1") for i in new]
        await broker.publish(envelopes)
        a, b, c, d = (await consumer.claim(4)).deliveries
        await broker.finish([Requeue(one.lease, front=True) for one in (a, b, c)])
        await broker.cancel("front", new[1], 0.0)
        await broker.finish([Requeue(d.lease, front=True)])
        again = [one.lease.id for one in (await consumer.claim(9)).deliveries]
        assert again == [new[0], *new[2:]]


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * WALKS)
@pytest.mark.usefixtures("no_list_is_short")
async def test_nothing_shows_that_entries_are_left(server: RedisServer) -> None:
    most = 0
    for seed in range(WALKS):
        walk = Withdrawn(server.url, seed)
        try:
            await walk.walk(150)
        finally:
            await walk.aclose()
        most = max(most, walk.skipped)
    assert most > 10
