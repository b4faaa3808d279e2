"""An ending as stores keep it: one text of bytes, which scripts and SQL can write as well.

Its lines are: key, status, serializer, queue, time, how many bytes there are of `ctx`, of the body
and of `follow`; then come these three, and the result.
"""

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from ltq.broker.flows.values import Ending
from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Envelope
from ltq.state import Status

_LINES = 8

_encode = msgspec.msgpack.Encoder().encode
_decode_follow = msgspec.msgpack.Decoder(list[Envelope]).decode

_DEFAULTS = dict(
    zip(reversed(Envelope.__struct_fields__), reversed(Envelope.__struct_defaults__), strict=False)
)


def pack_ending(ending: Ending) -> bytes:
    """An ending as bytes."""
    sizes = len(ending.ctx), len(ending.body), len(ending.follow)
    own = ending.key, ending.status.value, ending.serializer, ending.queue, repr(ending.time)
    head = "\n".join([*own, *map(str, sizes), ""]).encode()
    return head + ending.ctx + ending.body + ending.follow + ending.result


def unpack_ending(packed: bytes) -> Ending:
    """The ending in these bytes."""
    key, status, serializer, queue, time, *sizes, rest = packed.split(b"\n", _LINES)
    first, second, third = accumulate(map(int, sizes))
    return Ending(
        key=key.decode(),
        id=key.decode().rpartition(" ")[0],
        queue=queue.decode(),
        status=Status(status.decode()),
        ctx=rest[:first],
        result=rest[third:],
        serializer=serializer.decode() or DEFAULT_SERIALIZER,
        body=rest[first:second],
        follow=rest[second:third],
        time=float(time),
    )


def pack_follow(envelopes: Sequence[Envelope]) -> bytes:
    """Envelopes as `Finish.follow` and `Ending.follow` have them; empty if there are none."""
    return _encode([_told(one) for one in envelopes]) if envelopes else b""


def unpack_follow(packed: bytes) -> list[Envelope]:
    """The envelopes in these bytes. Raises `msgspec.DecodeError`."""
    return _decode_follow(packed) if packed else []


def _told(envelope: Envelope) -> dict[str, object]:
    """What an envelope says that is not the default: many go into one ending."""
    values = ((name, getattr(envelope, name)) for name in Envelope.__struct_fields__)
    return {name: value for name, value in values if value != _DEFAULTS.get(name)}
