"""What LTQ itself puts into RabbitMQ: a copy of each envelope on its way into the store."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from aiormq import spec
from msgspec.structs import replace

from ltq.broker.moving import Parcel
from ltq.message import Envelope
from ltq.names import new_id

CONTENT_TYPE = "application/vnd.ltq"
"""What says that a message is such a copy; anything else is of another language."""

VERSION, WORKFLOW_VERSION = 1, 2
"""The versions of this form: of one task, and of several of a workflow, which older releases of LTQ
cannot take. One that is not known goes to the dead messages."""

VERSION_HEADER = "x-ltq-version"

REMEMBERED = 600.0
"""Seconds for which the store knows that it has had a copy, also if its task is gone by then."""

TRUSTED = REMEMBERED / 2
"""Seconds after its sending within which a copy that the store does not know is a task. The rest of
`REMEMBERED` is for clocks that differ."""

LARGEST = 8 << 20
"""Most bytes of a task that goes through RabbitMQ: newer servers close channels over larger ones,
and all that is in flight there would fail with it. A larger task goes to the store alone."""

ROOM = 1 << 20
"""Most bytes that the rest of a copy takes, such as `ctx`."""

_MARK = "amqp:"


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """A copy of an envelope.

    The envelope has a fingerprint of this send, unless it has one of its own. The store remembers
    that for `REMEMBERED` seconds, so it takes only one of the two ways of a send.
    """

    sent: float
    """When, in Unix seconds by the sender's clock."""
    is_alone: bool
    """Whether the store was away, so that this is the only way of the send."""
    envelope: Envelope
    before: tuple[Envelope, ...] = ()
    """Other tasks of its workflow that the store has to have before this one."""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Copy)


def marked(envelope: Envelope) -> Envelope:
    """The envelope with the fingerprint of a new send, if it has none of its own."""
    if envelope.fingerprint:
        return envelope
    return replace(envelope, fingerprint=f"{_MARK}{new_id()}", unique_for=REMEMBERED)


def is_marked(envelope: Envelope) -> bool:
    """Whether it has the fingerprint of a send."""
    return envelope.fingerprint.startswith(_MARK)


def unmarked(parcels: Iterable[Parcel | None]) -> list[Parcel | None]:
    """Parcels without such fingerprints: what they say is of no use anywhere else."""
    return [parcel and _unmarked(parcel) for parcel in parcels]


def _unmarked(parcel: Parcel) -> Parcel:
    if not is_marked(parcel.envelope):
        return parcel
    envelope = replace(parcel.envelope, fingerprint="", unique_for=0.0)
    return replace(parcel, envelope=envelope, unique_until=0.0)


def fits(envelope: Envelope) -> bool:
    """Whether it is small enough to go through RabbitMQ."""
    return len(envelope.body) <= LARGEST


def encode(
    envelope: Envelope, now: float, *, is_alone: bool, before: Sequence[Envelope] = ()
) -> bytes:
    """The body of a copy."""
    return _encode(Copy(now, is_alone, envelope, tuple(before)))


def decode(body: bytes) -> Copy:
    """Read a copy. Raises `ValueError`."""
    return _decoder.decode(body)


def properties(envelope: Envelope, now: float, version: int = VERSION) -> spec.Basic.Properties:
    """Those of a copy."""
    return spec.Basic.Properties(
        content_type=CONTENT_TYPE,
        headers={VERSION_HEADER: version},
        delivery_mode=2,
        message_id=envelope.id,
        message_type=envelope.task_name,
        timestamp=datetime.fromtimestamp(now, UTC),
        app_id="ltq",
    )
