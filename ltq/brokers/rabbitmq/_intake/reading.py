"""What a message is: a task, or something that can be none."""

from collections.abc import Mapping
from typing import NamedTuple

from aiormq.abc import DeliveredMessage
from msgspec.structs import replace

from ltq.broker import check_envelopes
from ltq.brokers.rabbitmq._intake import door
from ltq.brokers.rabbitmq._server import copies
from ltq.errors import ConfigurationError
from ltq.message import Envelope


class Task(NamedTuple):
    """A message that LTQ has sent."""

    envelope: Envelope
    is_late: bool
    """Whether it came so late that the store may have had it and forgotten."""
    before: tuple[Envelope, ...] = ()
    """What the store has to have before it."""

    @property
    def envelopes(self) -> tuple[Envelope, ...]:
        """All of it, in the order in which the store gets it."""
        return *self.before, self.envelope


class Dead(NamedTuple):
    """A message that can be no task."""

    reason: str
    """In the header `x-ltq-reason`: one of the words that the docs list."""
    text: str
    """What is wrong with it, for people."""


def read(message: DeliveredMessage, now: float) -> Task | door.Call | Dead:
    """Read a message; `now` is Unix seconds."""
    properties = message.header.properties
    if len(message.body) > copies.LARGEST + copies.ROOM:
        return Dead("too-large", f"{len(message.body)} bytes: at most {copies.LARGEST} are allowed")
    if properties.content_type == copies.CONTENT_TYPE:
        return _read_copy(message.body, properties.headers or {}, now)
    try:
        return door.read(message.body, properties.message_id)
    except ValueError as error:  # of msgspec, or bytes that are no UTF-8
        return Dead("unreadable", str(error))


def _read_copy(body: bytes, headers: Mapping[str, object], now: float) -> Task | Dead:
    version = headers.get(copies.VERSION_HEADER)
    if version not in (copies.VERSION, copies.WORKFLOW_VERSION):
        return Dead("other-version", f"version {version!r}: here it is {copies.VERSION}")
    try:
        copy = copies.decode(body)
        check_envelopes([copy.envelope, *copy.before])
    except (ValueError, ConfigurationError) as error:
        return Dead("unreadable", str(error))
    age, envelope = max(0.0, now - copy.sent), copy.envelope
    if envelope.delay and copy.is_alone:
        envelope = replace(envelope, delay=max(0.0, envelope.delay - age))
    return Task(envelope, not copy.is_alone and age > copies.TRUSTED, copy.before)
