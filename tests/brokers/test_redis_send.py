"""Plain tasks that are alike are enqueued by a shorter way through the script than others are."""

from typing import Any

import pytest
import redis

from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.arguments import send_groups
from ltq.message import Envelope, Published
from ltq.options import Priority

PLAIN: dict[str, Any] = {"task_name": "mail:send", "queue": "mail:send", "body": b"[[1],{}]"}

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "high": {"priority": Priority.HIGH},
    "low": {"priority": Priority.LOW},
    "shared queue": {"queue": "mail:all"},
    "own lane": {"queue": "mail:all", "lane": "mail:all/mail:send"},
    "options": {"timeout": 2.5, "max_tries": 3, "result_ttl": 0.0, "max_deliveries": 1},
    "ctx": {"ctx": b'{"trace":"x"}'},
    "tags": {"tags": ("billing", "tenant:7")},
}

FILLER = Envelope(
    id="filler", task_name="mail:other", queue="mail:other", body=b"", has_new_id=True
)


def envelope(**changes: Any) -> Envelope:
    return Envelope(**{"id": "a1", "has_new_id": True, **PLAIN, **changes})


def left(client: Any) -> dict[str, Any]:
    """All that is in the server, but for times and what is the filler's."""
    found: dict[str, Any] = {}
    for key in sorted(key for key in client.keys("ltq:*") if "other" not in key):
        kind = client.type(key)
        if kind == "hash":
            found[key] = {k: v for k, v in client.hgetall(key).items() if k != "enqueue_time"}
        elif kind == "list":
            found[key] = client.lrange(key, 0, -1)
        elif kind == "string":
            found[key] = client.get(key)
        elif kind == "zset":
            ranks = client.zrange(key, 0, -1, withscores=True)
            found[key] = {name: int(rank / 1e10) for name, rank in ranks if "other" not in name}
        else:
            found[key] = {name for name in client.smembers(key) if "other" not in name}
    found.pop("ltq:{mail}:task:filler", None)
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_both_ways_leave_the_same(kind: str, redis_url: str) -> None:
    one = envelope(**KINDS[kind])
    async with Broker.from_url(redis_url) as broker:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            assert await broker.publish([one]) == [Published.CREATED]
            alone = left(client)
            client.flushall()
            assert await broker.publish([one, FILLER]) == [Published.CREATED] * 2
            assert alone == left(client)
            assert alone["ltq:{mail}:task:a1"]["status"] == "pending"


def numbered(*ids: int, **changes: Any) -> list[Envelope]:
    return [envelope(id=f"n{number}", body=b"[[%d],{}]" % number, **changes) for number in ids]


BATCHES: dict[str, list[Envelope]] = {
    "alike": numbered(1, 2, 3),
    "one is there": [*numbered(1, 2), envelope(id="there"), *numbered(3)],
    "one is there, of another task": [
        *numbered(1, 2),
        envelope(id="there", task_name="mail:other"),
        *numbered(3),
    ],
    "one twice": numbered(1, 2, 1, 3, 1),
    "one twice, with other arguments": [*numbered(1, 2), envelope(id="n1", body=b"[[9],{}]")],
    "one twice, apart": [*numbered(1), FILLER, *numbered(2, 1)],
    "of several kinds": [
        one
        for number, kind in enumerate(KINDS.values())
        for one in numbered(2 * number, 2 * number + 1, **kind)
    ],
    "with conditions": [
        *numbered(1, 2, max_pending=3),
        *numbered(3, fingerprint="x", unique_for=60.0),
        *numbered(4, 5, fingerprint="x", unique_for=60.0),
        *numbered(6, has_new_id=False),
        *numbered(7, 8, max_pending=3),
    ],
    "delayed": [*numbered(1, delay=60.0), *numbered(2, 3, eta=1e9), *numbered(4, 5, delay=1e6)],
}


@pytest.mark.parametrize("batch", BATCHES)
async def test_together_they_are_answered_and_left_as_one_by_one(
    batch: str, redis_url: str
) -> None:
    envelopes = BATCHES[batch]
    async with Broker.from_url(redis_url) as broker:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            await broker.publish([envelope(id="there")])
            answers = [(await broker.publish([one]))[0] for one in envelopes]
            one_by_one = left(client)
            client.flushall()
            await broker.publish([envelope(id="there")])
            assert await broker.publish(envelopes) == answers
            assert left(client) == one_by_one


async def test_what_is_there_is_not_enqueued_again(redis_url: str) -> None:
    async with Broker.from_url(redis_url) as broker:
        await broker.publish([envelope()])
        assert await broker.publish([envelope()]) == [Published.EXISTS]
        taken = envelope(task_name="mail:other")
        assert await broker.publish([taken]) == [Published.ID_CONFLICT]
        assert (await broker.stats(["mail:send"]))[0].pending == 1


async def test_a_repeated_call_does_not_enqueue_what_has_run(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker:
        link = broker._opening.new_link()
        await link.call("ZADD", "ltq:{mail}:ended", 7, "a1 completed")
        call = calls.SendCall(prefix="ltq:{mail}:", groups=send_groups([envelope()]))
        assert (await link.evaluate(call.repeated())).answers == [Published.EXISTS]
        assert (await link.evaluate(call)).answers == [Published.CREATED]
        await link.aclose()


async def test_keys_of_a_wrong_type_make_way(redis_url: str) -> None:
    async with Broker.from_url(redis_url) as broker:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            for key in ("lanes", "ready:1:mail:send", "active", "wake:mail:send"):
                client.set(f"ltq:{{mail}}:{key}", "nobody's")
            assert await broker.publish([envelope()]) == [Published.CREATED]
            spoilt = left(client)
            client.flushall()
            await broker.publish([envelope()])
            assert {key: spoilt[key] for key in left(client)} == left(client)


async def test_an_emptied_server_gets_to_know_the_namespace_again(redis_url: str) -> None:
    async with Broker.from_url(redis_url) as broker:
        with redis.Redis.from_url(redis_url) as client:
            await broker.publish([envelope()])
            client.flushall()
            await broker.publish([envelope()])
            assert await broker.queues() == ["mail:send"]
