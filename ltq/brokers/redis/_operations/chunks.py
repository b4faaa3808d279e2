"""Cutting many items into calls of one namespace each that are not too large."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TypeVar

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.redis._server.call import Call
from ltq.brokers.redis._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Envelope, Finish, Outcome
from ltq.names import positions_by_namespace

T = TypeVar("T")
R = TypeVar("R")

CALL_TASKS = 500
"""Most tasks of one call: a long script blocks all other clients."""


def chunks(
    items: Sequence[T],
    queue_of: Callable[[T], str],
    size_of: Callable[[T], int] | None = None,
    limit: int = CALL_TASKS,
) -> Iterator[tuple[str, list[int]]]:
    """For each call, its namespace and the positions of its items."""
    for namespace, positions in positions_by_namespace(items, queue_of).items():
        chunk: list[int] = []
        size = 0
        for position in positions:
            more = 0 if size_of is None else size_of(items[position])
            if chunk and (len(chunk) == limit or size + more > CALL_BYTES):
                yield namespace, chunk
                chunk, size = [], 0
            chunk.append(position)
            size += more
        yield namespace, chunk


def by_chunk(chunks: Iterable[tuple[str, list[int]]]) -> dict[str, list[list[int]]]:
    """The calls of each namespace: the positions of their items."""
    parts: dict[str, list[list[int]]] = {}
    for namespace, chunk in chunks:
        parts.setdefault(namespace, []).append(chunk)
    return parts


queue_of_envelope: Callable[[Envelope], str] = attrgetter("queue")
queue_of_outcome: Callable[[Outcome], str] = attrgetter("lease.queue")


async def read_some(link: Link, call: Call[R], patience: float | None = None) -> R:
    """Make a call whose reply is as large as the link's limit allows, and note how that went.

    `patience` is in seconds, that of other calls if None.
    """
    evaluating = link.evaluate(call, **({} if patience is None else {"patience": patience}))
    try:
        found = await evaluating
    except BrokerError as error:
        link.reply_limit.failed(error)
        raise
    link.reply_limit.arrived()
    return found


def envelope_size(envelope: Envelope) -> int:
    """Bytes of payload."""
    return len(envelope.body) + len(envelope.ctx)


def outcome_size(outcome: Outcome) -> int:
    """Bytes of payload, roughly."""
    failure = outcome.failure
    if failure is None and type(outcome) is Finish:
        return len(outcome.result) + len(outcome.follow)
    told = 0 if failure is None else len(failure.text) + len(failure.traceback or "")
    if isinstance(outcome, Finish):
        return told + len(outcome.result) + len(outcome.follow)
    return told + len(outcome.ctx or b"")
