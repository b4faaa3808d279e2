"""Whatever stands in Redis: good tasks complete beside it, and the worker lives."""

import asyncio
import itertools
import math
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from devtools.servers import RedisServer
from ltq import Handle, Status, Worker
from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq._worker.outcomes import decode_ctx
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts.deliveries import delivery
from ltq.brokers.redis._scripts.replies import task_state
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import DecodeError
from ltq.message import Delivery, Lease
from tests.conformance.factories import make_envelope

DEEP = b"[" * 5000

special = st.sampled_from(
    [
        *(b"", b"nan", b"-nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"0x10", b"1e308", b"1_0"),
        *(b"9" * 5000, b"\xff\xfe", b"\x00", b"\n", b"a\nb", b"null", b"{}", b"[]", DEEP),
        *(b'{"a":' * 3000, b'{"a":"\xff"}', b'{"seen":"x"}', b'{"current":1,"note":"\xff"}'),
    ]
)
junk = st.binary(max_size=30) | special
mutated = st.builds(
    lambda whole, at, put: whole[:at] + put + whole[at + 1 :],
    st.sampled_from(
        [
            b'[[1,"a"],{"c":[1.5,null]}]',
            b'[[1],{"b":"x"}]',
            msgspec.msgpack.encode([[1, "a"], {"c": [1.5, None]}]),
            b'{"current":1.0,"total":2.0,"note":"n"}',
        ]
    ),
    st.integers(0, 40),
    st.binary(max_size=2),
)
bytes_ = junk | mutated

FIELDS = [
    *("status", "task", "body", "queue", "lane", "priority", "ctx", "tries", "token", "timeout"),
    *("max_tries", "result_ttl", "max_deliveries", "deaths", "dequeue_count", "requeue_count"),
    *("enqueue_time", "progress", "worker", "error", "tags"),
]


class TestReplies:
    """What the scripts answer, where a hash holds anything."""

    @given(st.lists(st.none() | bytes_, min_size=24, max_size=24), st.sampled_from(Status))
    def test_a_state_is_read_or_there_is_none(
        self, reply: list[bytes | None], status: Status
    ) -> None:
        task_state("id", reply)
        state = task_state("id", [status.value.encode(), *reply[1:]])
        assert state is not None
        assert state.status is status
        assert state.due_time is None or math.isfinite(state.due_time)

    @given(bytes_, st.dictionaries(st.sampled_from(FIELDS) | st.text(), bytes_))
    def test_a_delivery_is_read(self, task_id: bytes, fields: dict[str, bytes]) -> None:
        flat = [part for key, value in fields.items() for part in (key.encode(), value)]
        read = delivery([task_id, b"17", flat, None], 5.0)
        assert read.lease.token == 17
        for number in (read.timeout, read.result_ttl, read.max_tries):
            assert number is None or isinstance(number, int | float)

    @given(bytes_)
    def test_a_context_is_read_or_refused(self, ctx: bytes) -> None:
        lease = Lease("id", "mail:send", 1)
        read = Delivery(lease, "mail:send", b"", ctx, 0, 1, 0, 1.0, 1.0, None, None, None)
        try:
            decoded = decode_ctx(read)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        assert isinstance(decoded, dict)


def fetch(a: int, b: str = "", *, c: list[float | None] | None = None) -> dict[str, int]:
    return {}


def anything(*args: Any, **kwargs: Any) -> Any:
    return None


CODECS = [
    CallCodec(fn, Codec(serializer), task_name="mail:send")
    for fn in (fetch, anything)
    for serializer in ("json", "msgpack")
]


class TestCodec:
    @pytest.mark.parametrize("codec", CODECS)
    @given(body=bytes_)
    def test_a_body_is_read_or_refused(self, codec: CallCodec, body: bytes) -> None:
        try:
            args, kwargs = codec.decode_call(body)
        except DecodeError:
            return
        assert isinstance(args, tuple)
        assert isinstance(kwargs, dict)

    @pytest.mark.parametrize("codec", CODECS)
    @given(data=bytes_)
    def test_a_result_is_read_or_refused(self, codec: CallCodec, data: bytes) -> None:
        try:
            codec.decode_result(data)
        except DecodeError:
            return


# A worker beside anything

Spoil = Callable[[redis.Redis, str], object]
"""Does something to the keys of a worker's namespace."""

_numbers = itertools.count()


def _field(name: str, value: bytes) -> Spoil:
    def spoil(client: redis.Redis, namespace: str) -> None:
        with suppress(redis.ResponseError):  # it is not a hash any more
            client.hset(keys.task(namespace, "bad"), name, value)

    return spoil


def _ready(task_id: bytes, level: int, front: bool) -> Spoil:
    def spoil(client: redis.Redis, namespace: str) -> None:
        key = keys.ready(namespace, f"{namespace}:good", level)
        (client.lpush if front else client.rpush)(key, task_id)
        client.zadd(keys.active(namespace), {f"{level}:{namespace}:good": level * 1e10}, nx=True)

    return spoil


def _type(kind: str) -> Spoil:
    def spoil(client: redis.Redis, namespace: str) -> None:
        key = keys.task(namespace, "bad")
        client.delete(key)
        if kind == "string":
            client.set(key, "x")
        elif kind == "list":
            client.rpush(key, "x")
        elif kind == "set":
            client.sadd(key, "x")
        else:
            client.zadd(key, {"x": 1})

    return spoil


def _zset(kind: str, member: bytes, score: float) -> Spoil:
    def spoil(client: redis.Redis, namespace: str) -> None:
        own = f"{namespace}:good"
        key = {
            "delayed": keys.delayed(namespace, own),
            "leases": keys.leases(namespace, own),
            "due": keys.due(namespace),
            "lease_ends": keys.lease_ends(namespace),
            "active": keys.active(namespace),
            "wake": keys.wake(namespace, own),
        }[kind]
        client.zadd(key, {member: score})
        if kind in ("delayed", "leases"):
            index = keys.due if kind == "delayed" else keys.lease_ends
            client.zadd(index(namespace), {own: score}, lt=True)

    return spoil


def _lane(member: bytes) -> Spoil:
    def spoil(client: redis.Redis, namespace: str) -> None:
        client.sadd(keys.lanes(namespace), member)

    return spoil


members = junk | st.sampled_from([b"bad", b"good-0", b"1:", b"x", b"9:x", b"1:w/x"])
spoils = st.one_of(
    st.builds(_field, st.sampled_from(FIELDS), bytes_),
    st.builds(_field, st.sampled_from(FIELDS), special),
    st.builds(_field, st.just("status"), st.sampled_from([s.value.encode() for s in Status])),
    st.builds(_ready, members, st.integers(0, 2), st.booleans()),
    st.builds(_type, st.sampled_from(["string", "list", "set", "zset"])),
    st.builds(
        _zset,
        st.sampled_from(["delayed", "leases", "due", "lease_ends", "active", "wake"]),
        members,
        st.sampled_from([-math.inf, math.inf, 0.0, 1.0, 1e18, -1.0]),
    ),
    st.builds(_lane, junk),
)


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


def run(call: Coroutine[Any, Any, None]) -> None:
    asyncio.run(call)


async def work_beside(url: str, things: list[Spoil], where: str) -> None:
    """A worker with five good tasks, one that is spoilt, and other rubbish."""
    broker = RedisBroker(f"{url}?notifications=poll")
    name = f"hostile{next(_numbers)}"
    worker = Worker(name, broker=broker, concurrency=4, lease=5.0, shutdown_timeout=0.2)

    @worker.task
    async def good(number: int) -> int:
        return number

    bad = make_envelope(id="bad", queue=f"{name}:good", body=b"[[1],{}]")
    handles: list[Handle[int]] = []
    for number in range(5):
        if number == 2:
            await broker.publish([bad])
        handles.append(await good.with_options(id=f"good-{number}").send(number))
    with redis.Redis.from_url(url) as client:
        for spoil in things:
            spoil(client, name)
    async with worker:
        states = await asyncio.gather(*(handle.wait(timeout=5.0) for handle in handles))
        assert [run.is_stopping for run in worker.health()] == [False], where
    assert [state.status for state in states] == [Status.COMPLETED] * 5
    assert [state.result for state in states] == list(range(5))
    assert [state.dequeue_count for state in states] == [1] * 5


class TestWorker:
    @pytest.mark.slow
    @settings(max_examples=40)
    @given(st.lists(spoils, min_size=1, max_size=6))
    def test_good_tasks_complete_beside_anything(
        self, server: RedisServer, things: list[Spoil]
    ) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        run(work_beside(server.url, things, "the worker ended"))
