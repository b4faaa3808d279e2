"""An ending as stores keep it: one text of bytes, which scripts and SQL can write as well.

Its lines are: key, status, serializer, queue, time, how many bytes of `ctx` and of the body follow;
then come `ctx`, body and result.
"""

from ltq.broker.flows.values import Ending
from ltq.codec import DEFAULT_SERIALIZER
from ltq.state import Status

_LINES = 7


def pack_ending(ending: Ending) -> bytes:
    """An ending as bytes."""
    sizes = len(ending.ctx), len(ending.body)
    own = ending.key, ending.status.value, ending.serializer, ending.queue, repr(ending.time)
    head = "\n".join([*own, *map(str, sizes), ""]).encode()
    return head + ending.ctx + ending.body + ending.result


def unpack_ending(packed: bytes) -> Ending:
    """The ending in these bytes."""
    key, status, serializer, queue, time, ctx_size, body_size, rest = packed.split(b"\n", _LINES)
    middle, last = int(ctx_size), int(ctx_size) + int(body_size)
    return Ending(
        key=key.decode(),
        id=key.decode().rpartition(" ")[0],
        queue=queue.decode(),
        status=Status(status.decode()),
        ctx=rest[:middle],
        result=rest[last:],
        serializer=serializer.decode() or DEFAULT_SERIALIZER,
        body=rest[middle:last],
        time=float(time),
    )
