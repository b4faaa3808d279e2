"""The tasks that a claim gives, from its reply."""

from collections.abc import Sequence
from typing import Any

from ltq.brokers.redis._scripts.fields import as_name, as_number, as_serializer, as_tags, as_text
from ltq.message import Delivery, Lease

_PLAIN_FIELDS = {b"status", b"enqueue_time", b"task", b"body", b"queue", b"lane", b"priority"}
"""The fields of a task that was sent without options and never claimed."""


_WITH_CTX, _ALIKE = -2, -3
"""Sizes that `claim` tells of tasks that were sent without options: of one that was but for its
`ctx` and `result_ttl`, which are told, and of one like the last. Of a bare one it tells another."""


def deliveries(reply: Sequence[Any], first: int, now: float) -> list[Delivery]:
    """The tasks that `claim` gives at the time `now`: in its reply, from `first` on."""
    found, end = [], len(reply)
    name, since = "", now
    ctx, ttl = b"", None
    while first < end:
        size = reply[first + 2]
        if size < 0:
            task_id, token, _, body = reply[first : first + 4]
            first += 4
            if size != _ALIKE:
                since, name = as_number(float, reply[first]) or now, as_name(reply[first + 1])
                first, ctx, ttl = first + 2, b"", None
            if size == _WITH_CTX:
                ctx, ttl = reply[first], as_number(float, reply[first + 1])
                first += 2
            lease = Lease(task_id.decode("utf-8", "replace"), name, int(token))
            found.append(Delivery(lease, name, body, ctx, 0, 1, 0, since, now, None, None, ttl))
        else:
            task_id, token, _, isolation = reply[first : first + 4]
            first += 4 + size
            found.append(delivery((task_id, token, reply[first - size : first], isolation), now))
    return found


def delivery(reply: Sequence[Any], now: float) -> Delivery:
    """A task as `claim` gives it at the time `now`: id, token, fields with values, isolation."""
    task_id, token, flat, isolation = reply
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    name = as_name(get(b"task", b""))
    lease = Lease(as_text(task_id), as_name(get(b"queue", b"")) or name, int(token))
    sent = as_number(float, get(b"enqueue_time")) or now
    body, ctx = get(b"body", b""), get(b"ctx", b"")
    if fields.keys() <= _PLAIN_FIELDS:
        return Delivery(lease, name, body, ctx, 0, 1, 0, sent, now, None, None, None)
    return Delivery(
        lease,
        name,
        body,
        ctx,
        as_number(int, get(b"tries")) or 0,
        (as_number(int, get(b"dequeue_count")) or 0) + 1,
        as_number(int, get(b"deaths")) or 0,
        sent,
        now,
        as_number(float, get(b"timeout")),
        as_number(int, get(b"max_tries")),
        as_number(float, get(b"result_ttl")),
        isolation,
        as_number(int, get(b"max_deliveries")),
        as_serializer(get(b"serializer")),
        as_tags(get(b"tags")),
        as_number(int, get(b"max_items")),
    )
