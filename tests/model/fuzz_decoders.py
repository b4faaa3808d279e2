"""Feeds anything to the decoders and notes what else they do: run it in a process of its own.

    python -m tests.model.fuzz_decoders 200

An audit hook stays as long as its process. It notes every import, file, program and connection
that is opened while a decoder runs.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq._worker.outcomes import decode_ctx
from ltq.brokers.redis._scripts.deliveries import delivery
from ltq.brokers.redis._scripts.replies import dead_letter, task_state
from ltq.errors import DecodeError
from ltq.message import DeadLetter, Delivery, Lease
from ltq.state import Status, TaskState

EXAMPLES = int(sys.argv[1]) if len(sys.argv) > 1 else 100

HARMLESS = {"object.__getattr__", "object.__setattr__", "sys._getframe", "builtins.id"}
"""Audit events that mean nothing: everything else that a decoder sets off is noted."""


class Watch:
    """Notes what happens while it is on."""

    def __init__(self) -> None:
        self._is_on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_on and event not in HARMLESS:
            self.seen.append(f"{event}{arguments!r:.200}")

    @contextmanager
    def on(self) -> Iterator[None]:
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False


watch = Watch()


def fetch(
    a: int, b: str = "", *c: UUID | None, d: dict[str, list[float]] | None = None, **e: bytes
) -> dict[str, int]:
    return {}


def anything(*args: Any, **kwargs: Any) -> Any:
    return None


CODECS = [
    CallCodec(function, Codec(serializer), task_name="mail:send")
    for function in (fetch, anything)
    for serializer in ("json", "msgpack")
]
LEASE = Lease("id", "mail:send", 1)

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
calls = st.tuples(st.lists(values, max_size=4), st.dictionaries(st.text(), values, max_size=3))
VALID = [
    b'[[1,"a"],{"d":{"x":[1.5]}}]',
    b'[[1,"a","123e4567-e89b-12d3-a456-426614174000"],{"z":"QUJD"}]',
    msgspec.msgpack.encode([[1, "a"], {"d": {"x": [1.5]}}]),
    b'{"current":1.0,"total":2.0,"note":"n"}',
    b'{"seen":3,"trace":{"id":"x"}}',
    b"1764000000.123456",
    b"completed",
    b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93\x94\x8c\x02id\x85R.",
]


def _spoilt(whole: bytes, at: int, cut: int, put: bytes) -> bytes:
    at = at % (len(whole) + 1)
    return whole[:at] + put + whole[at + cut :]


mutated = st.builds(
    _spoilt, st.sampled_from(VALID), st.integers(0, 99), st.integers(0, 3), st.binary(max_size=4)
)
encoded = st.builds(lambda value: json.dumps(value).encode(), values | calls)
packed = st.builds(
    lambda value: msgspec.msgpack.encode(json.loads(json.dumps(value), parse_int=float)), values
)
deep = st.builds(lambda part, count: part * count, st.sampled_from([b"[", b'{"a":', b"\x91"]),
                 st.integers(1, 20_000))  # fmt: skip
records = st.binary() | mutated | encoded | packed | deep

NAMES = [
    *("status", "task", "body", "queue", "lane", "priority", "ctx", "tries", "token", "timeout"),
    *("max_tries", "result_ttl", "max_deliveries", "deaths", "dequeue_count", "enqueue_time"),
]
statuses = st.sampled_from([status.value.encode() for status in Status])


def settled(test: Callable[..., None]) -> Callable[[], None]:
    return settings(max_examples=EXAMPLES, deadline=None, database=None)(test)


@settled
@given(st.sampled_from(CODECS), records)
def a_call_is_read_or_refused(codec: CallCodec, body: bytes) -> None:
    for decode in (codec.decode_call, codec.decode_result):
        try:
            with watch.on():
                decode(body)
        except DecodeError:
            continue


@settled
@given(records, st.dictionaries(st.sampled_from(NAMES), records | statuses))
def a_delivery_is_read(task_id: bytes, fields: dict[str, bytes]) -> None:
    flat = [part for name, value in fields.items() for part in (name.encode(), value)]
    with watch.on():
        read = delivery([task_id, b"17", flat, None], 5.0)
    assert read.lease.token == 17
    assert read.isolation is None or read.isolation >= 1


@settled
@given(st.lists(st.none() | records, min_size=24, max_size=24), statuses | records)
def a_state_and_a_letter_are_read_or_there_is_none(
    reply: list[bytes | None], status: bytes
) -> None:
    readers: list[tuple[Callable[..., Any], type]] = [
        (task_state, TaskState),
        (partial(_letter), DeadLetter),
    ]
    for read, kind in readers:
        with watch.on():
            got = read("id", [status, *reply[1:]])
        assert got is None or isinstance(got, kind)


def _letter(task_id: str, reply: list[bytes | None]) -> DeadLetter | None:
    return dead_letter(task_id, reply[:16])


@settled
@given(records)
def a_context_is_read_or_refused(ctx: bytes) -> None:
    read = Delivery(LEASE, "mail:send", b"", ctx, 0, 1, 0, 1.0, 1.0, None, None, None)
    try:
        with watch.on():
            decoded = decode_ctx(read)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    assert isinstance(decoded, dict)


def main() -> None:
    """Run all, and fail if a decoder did more than decode."""
    a_call_is_read_or_refused()
    a_delivery_is_read()
    a_state_and_a_letter_are_read_or_there_is_none()
    a_context_is_read_or_refused()
    with watch.on():
        open("/dev/null").close()
    assert watch.seen.pop().startswith("open("), "the watch did not see a file being opened"
    assert not watch.seen, watch.seen


if __name__ == "__main__":
    main()
