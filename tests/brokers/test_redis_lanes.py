"""Lanes in Redis: what is left of them, and names and keys that other programs have written."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.broker import Broker, Consumer
from ltq.brokers._rules.constants import MAX_LANES, MOST_MOVED
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Published
from ltq.names import new_id
from ltq.options import Limit
from ltq.state import Status
from ltq.worker import Worker
from tests.conformance.factories import make_envelope, publish, publish_many

SHARED = "emails"
KNOWN = "shop:letter"


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def consumer(broker: Broker) -> AsyncIterator[Consumer]:
    async with broker.consumer([SHARED], knows=[KNOWN]) as consumer:
        yield consumer


async def move_all(consumer: Consumer) -> list[str]:
    """Claim until nothing is moved any more; return the ids that were given."""
    ids = list[str]()
    while True:
        claim = await consumer.claim(100)
        ids += [delivery.lease.id for delivery in claim.deliveries]
        if not claim.moved and not claim.deliveries:
            return ids


def of_lanes(client: "redis.Redis") -> set[str]:
    """What is kept of lanes in which only tasks of one name wait."""
    found = set(client.scan_iter(match=f"*{SHARED}/*"))
    found |= set(client.scan_iter(match="*queue_lanes:*"))
    members = map(str, client.zrange(keys.active(SHARED), 0, -1))
    return found | {member for member in members if "/" in member}


@pytest.mark.parametrize("how", ["clear", "cancel", "claim"])
async def test_nothing_is_left_of_a_lane_that_is_empty(
    broker: Broker, consumer: Consumer, raw: "redis.Redis", how: str
) -> None:
    envelopes = [make_envelope(queue=SHARED, task_name=f"bank:{number}") for number in range(50)]
    await broker.publish(envelopes)
    assert await move_all(consumer) == []
    assert of_lanes(raw)
    if how == "clear":
        assert await broker.clear(SHARED) == 50
    elif how == "cancel":
        for envelope in envelopes:
            await broker.cancel(SHARED, envelope.id, 60.0)
    else:
        names = [envelope.task_name for envelope in envelopes]
        async with broker.consumer([SHARED], knows=names) as bank:
            for delivery in (await bank.claim(100)).deliveries:
                await broker.release(delivery.lease)
    assert of_lanes(raw) == set()
    assert await broker.queues() == [SHARED]


async def test_what_waits_in_more_lanes_than_may_be_made_is_given(
    broker: Broker, consumer: Consumer, raw: "redis.Redis"
) -> None:
    count = MAX_LANES + 21
    envelopes = [make_envelope(queue=SHARED, task_name=f"bank:{number}") for number in range(count)]
    await broker.publish(envelopes)
    given = [one.lease.id for one in (await consumer.claim(7)).deliveries]
    given += await move_all(consumer)
    assert given == [envelope.id for envelope in envelopes[MAX_LANES:]]
    assert raw.zcard(keys.queue_lanes(SHARED, SHARED)) == MAX_LANES
    again = make_envelope(queue=SHARED, task_name="bank:1")
    await broker.publish([again])
    assert await move_all(consumer) == [], "its lane is there already"


async def test_large_bodies_make_a_claim_stop_earlier(broker: Broker, consumer: Consumer) -> None:
    body = b"x" * 200_000
    await publish_many(broker, 20, queue=SHARED, task_name="bank:bill", body=body)
    async with broker.consumer([SHARED], knows=["bank:bill"]) as bank:
        link_calls = 0
        while (await consumer.claim(1)).moved:
            link_calls += 1
        assert link_calls > 1, "2 MB are more than one script should copy"
        assert len((await bank.claim(20)).deliveries) > 0


@pytest.mark.parametrize("name", ["a/b", "x y", "ä", "a\nb", "n" * 201, "*", "\x1b[2J"])
async def test_a_name_that_no_task_can_have_is_rejected(
    broker: RedisBroker, raw: "redis.Redis", name: str
) -> None:
    """Only another program can have written it."""
    task_id = new_id()
    worker = Worker("shop", broker=broker)

    @worker.task(queue=SHARED)
    async def letter() -> None: ...

    handle = await letter.send()
    fields = {"status": "pending", "task": name, "queue": SHARED, "body": "[[],{}]"}
    for field, value in fields.items():
        raw.hset(keys.task(SHARED, task_id), field, value)
    raw.lpush(keys.ready(SHARED, SHARED, 1), task_id)
    await worker.run(burst=True)
    assert (await handle.state()).status is Status.COMPLETED
    assert (await broker.state(SHARED, task_id)).status is Status.REJECTED
    assert of_lanes(raw) == set()
    (letter_left,) = await broker.dead_letters(SHARED)
    assert (letter_left.error or "").isprintable()


async def test_a_repair_remembers_lanes_that_were_forgotten(
    broker: RedisBroker, consumer: Consumer, raw: "redis.Redis"
) -> None:
    await publish_many(broker, 3, queue=SHARED, task_name="bank:bill")
    await publish(broker, queue=SHARED, task_name="bank:pay", lane=f"{SHARED}/bank:pay")
    assert await move_all(consumer) == []
    raw.delete(keys.queue_lanes(SHARED, SHARED), keys.lanes(SHARED), keys.active(SHARED))
    assert await broker.repair([SHARED]) == 0
    (stats,) = await broker.stats([SHARED])
    assert stats.unserved == {"bank:bill": 3, "bank:pay": 1}
    assert await broker.queues() == [SHARED]
    full = make_envelope(queue=SHARED, max_pending=4)
    assert await broker.publish([full]) == [Published.FULL]


async def test_a_task_in_a_lane_that_lost_its_place_is_put_back_there(
    broker: RedisBroker, consumer: Consumer, raw: "redis.Redis"
) -> None:
    ids = await publish_many(broker, 3, queue=SHARED, task_name="bank:bill")
    assert await move_all(consumer) == []
    lane = f"{SHARED}/bank:bill"
    raw.delete(keys.ready(SHARED, lane, 1))
    findings = await broker.examine()
    assert [finding.name for finding in findings].count("places") == 1
    assert await broker.repair([SHARED]) == 3
    async with broker.consumer([SHARED], knows=["bank:bill"]) as bank:
        given = [one.lease.id for one in (await bank.claim(10)).deliveries]
    assert sorted(given) == sorted(ids)


async def test_doctor_finds_nothing_odd_in_lanes(broker: RedisBroker, consumer: Consumer) -> None:
    await publish_many(broker, 3, queue=SHARED, task_name="bank:bill")
    await publish(broker, queue=SHARED, task_name=KNOWN)
    await move_all(consumer)
    found = {finding.name: finding.text for finding in await broker.examine()}
    assert "all as they should be" in found["keys"]
    assert "places" not in found


async def test_a_claim_that_is_repeated_gives_the_same_although_it_moved_others(
    broker: RedisBroker,
) -> None:
    """As after a lost reply: `tests/faults` cuts connections."""
    for name in ("bank:bill", KNOWN, "bank:bill", KNOWN):
        await publish(broker, queue=SHARED, task_name=name)
    consumer = broker.consumer([SHARED], knows=[KNOWN])
    group = consumer._groups[0]  # type: ignore[attr-defined]  # a lost reply, by hand
    claim_id = group.claim_id
    first = [one.lease for one in (await consumer.claim(10)).deliveries]
    group.claim_id, group.again = claim_id, "1"
    again = [one.lease for one in (await consumer.claim(10)).deliveries]
    assert first == again
    assert len(first) == 2
    await consumer.aclose()


async def test_a_limit_stays_bounded_work(broker: RedisBroker) -> None:
    lane = f"{SHARED}/{KNOWN}"
    await publish_many(broker, 10 * MOST_MOVED, queue=SHARED, task_name=KNOWN)
    limits = {lane: Limit(running=1)}
    async with broker.consumer([SHARED], limits=limits, knows=[KNOWN]) as consumer:
        claim = await consumer.claim(1)
        assert (len(claim.deliveries), claim.due_in) == (0, 0.0)
        assert len(await move_all(consumer)) == 1


async def test_many_are_cancelled_although_a_claim_moves_them_meanwhile(
    broker: RedisBroker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_many(broker, 3, queue=SHARED, task_name="bank:bill")
    link = broker._here().links.any
    call = link.call

    async def claimed_meanwhile(*command: Argument) -> Reply:
        reply = await call(*command)
        if command[0] == "ZRANGE":
            await move_all(consumer)
        return reply

    monkeypatch.setattr(link, "call", claimed_meanwhile)
    assert await broker.cancel_many(SHARED) == 3
