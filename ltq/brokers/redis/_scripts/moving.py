"""The calls of the scripts that hand tasks to another store and take them over."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple, Self

from ltq.broker.moving import Parcel
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.arguments import failure_fields, fields_of
from ltq.brokers.redis._scripts.script import Bounded, Flag, Script
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.message import Published
from ltq.state import Status


class Adopted(NamedTuple):
    """What became of tasks or dead letters that should be taken over."""

    answers: list[Published]
    new_queues: int
    """How many of their queues are new: nothing was sent to them before."""


class AdoptCall(Script[Adopted], frozen=True, kw_only=True):
    """Take over tasks that waited elsewhere."""

    name: ClassVar[str] = "adopt"

    tasks: list[Argument]

    @classmethod
    def of(cls, prefix: str, parcels: Iterable[Parcel]) -> Self:
        """The call for some tasks."""
        return cls(prefix=prefix, tasks=[word for one in parcels for word in _task_words(one)])

    def read(self, reply: Reply) -> Adopted:
        return _adopted(reply)


class AdoptDeadCall(Script[Adopted], frozen=True, kw_only=True):
    """Take over dead letters."""

    name: ClassVar[str] = "adopt_dead"

    letters: list[Argument]

    @classmethod
    def of(cls, prefix: str, parcels: Iterable[Parcel]) -> Self:
        """The call for some letters."""
        return cls(prefix=prefix, letters=[word for one in parcels for word in _letter_words(one)])

    def read(self, reply: Reply) -> Adopted:
        return _adopted(reply)


class DropCall(Script[list[str]], frozen=True, kw_only=True):
    """Remove what was taken over elsewhere. The reply names what stays."""

    name: ClassVar[str] = "drop"

    queue: str
    tasks: list[Argument]

    @classmethod
    def of(cls, prefix: str, queue: str, parcels: Iterable[Parcel]) -> Self:
        """The call for tasks and dead letters of one queue."""
        words: list[Argument] = []
        for one in parcels:
            moments = ("", one.died) if one.is_dead else (one.sent, "")
            words += (one.envelope.id, *moments, one.mark)
        return cls(prefix=prefix, queue=queue, tasks=words)

    def read(self, reply: Reply) -> list[str]:
        return [task_id.decode() for task_id in reply]


class PackCall(Bounded[list[Parcel | None]], frozen=True, kw_only=True):
    """Read tasks or dead letters as they are. The reply may hold only the first ones."""

    name: ClassVar[str] = "pack"

    dead: Flag
    ids: list[str]

    def read(self, reply: Reply) -> list[Parcel | None]:
        ids = self.ids[: len(reply)]
        return [
            replies.parcel(name, due, until, flat)
            for name, (due, until, flat) in zip(ids, reply, strict=True)
        ]


def _adopted(reply: Reply) -> Adopted:
    answers, new_queues = reply
    return Adopted([replies.PUBLISHED[answer] for answer in answers], replies.integer(new_queues))


def _task_words(parcel: Parcel) -> Sequence[Argument]:
    envelope, is_delayed = parcel.envelope, parcel.status is Status.DELAYED
    place = (envelope.queue, envelope.lane or envelope.queue, int(envelope.priority))
    due = f"{parcel.when:.6f}" if is_delayed else ""
    fields = [*_fields(parcel), "status", parcel.status.value]
    known = (parcel.mark, envelope.fingerprint, f"{parcel.unique_until:.6f}")
    return envelope.id, *place, parcel.sent, due, *known, len(fields), *fields


def _letter_words(parcel: Parcel) -> Sequence[Argument]:
    envelope = parcel.envelope
    fields = [*_fields(parcel), "status", parcel.status.value, "release_time", parcel.died]
    if "queue" not in fields[::2]:
        fields += ("queue", envelope.queue)
    known = (parcel.mark, envelope.fingerprint, f"{parcel.unique_until:.6f}")
    return envelope.id, envelope.queue, parcel.died, *known, len(fields), *fields


def _fields(parcel: Parcel) -> list[Argument]:
    """What the hash of a task has, but for its status. Fields with their defaults are left out."""
    fields = [*fields_of(parcel.envelope), "body", parcel.envelope.body]
    fields += ("enqueue_time", parcel.sent)
    for name, moment in (
        ("last_dequeue_time", parcel.last_dequeue_time),
        ("last_requeue_time", parcel.last_requeue_time),
    ):
        if moment is not None:
            fields += (name, f"{moment:.6f}")
    tries = parcel.tries - (parcel.status is Status.FAILED)  # the last one is counted where read
    for name, value in (
        ("dequeue_count", parcel.dequeue_count),
        (
            "token",
            parcel.dequeue_count,
        ),  # it says that it was claimed; any lease was another store's
        ("requeue_count", parcel.requeue_count),
        ("tries", tries),
        ("deaths", parcel.deaths),
        ("worker", parcel.worker),
    ):
        if value:
            fields += (name, value)
    return fields + failure_fields(parcel.failure)
