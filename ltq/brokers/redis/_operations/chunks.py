"""Cutting many items into calls of one namespace each that are not too large."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import TypeVar

from ltq.message import Envelope, Finish, Outcome
from ltq.names import namespace_of

T = TypeVar("T")

CALL_TASKS = 500
"""Most tasks of one call: a long script blocks all other clients."""

CALL_BYTES = 4_000_000
"""Most bytes of payload in one call, roughly, so that it arrives well before its deadline."""


def by_namespace(items: Sequence[T], queue_of: Callable[[T], str]) -> dict[str, list[int]]:
    """The positions of items, by the namespace of their queue."""
    groups: dict[str, list[int]] = {}
    for position, queue in enumerate(map(queue_of, items)):
        groups.setdefault(namespace_of(queue), []).append(position)
    return groups


def chunks(
    items: Sequence[T],
    queue_of: Callable[[T], str],
    size_of: Callable[[T], int] | None = None,
    limit: int = CALL_TASKS,
) -> Iterator[tuple[str, list[int]]]:
    """For each call, its namespace and the positions of its items."""
    for namespace, positions in by_namespace(items, queue_of).items():
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


queue_of_envelope: Callable[[Envelope], str] = attrgetter("queue")
queue_of_outcome: Callable[[Outcome], str] = attrgetter("lease.queue")


def envelope_size(envelope: Envelope) -> int:
    """Bytes of payload."""
    return len(envelope.body) + len(envelope.ctx)


def outcome_size(outcome: Outcome) -> int:
    """Bytes of payload."""
    if isinstance(outcome, Finish):
        return len(outcome.result)
    return len(outcome.ctx or b"")
