"""What processes tell one another: topics to look at. A hint is never believed, only followed."""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

LARGEST = 4096
"""Most bytes of a datagram."""

_decoder = msgspec.msgpack.Decoder(list[str])


@dataclass(frozen=True)
class Heard:
    """What may have changed. It is false if nothing did."""

    topics: frozenset[str] = frozenset()
    everything: bool = False
    """Whether any other topic may have changed as well."""

    def __bool__(self) -> bool:
        return self.everything or bool(self.topics)

    def __or__(self, other: "Heard") -> "Heard":
        return Heard(self.topics | other.topics, self.everything or other.everything)


NOTHING = Heard()
EVERYTHING = Heard(everything=True)

LOOK_AT_EVERYTHING: bytes = msgspec.msgpack.encode([])
"""The datagram that names no topic."""


def pack(topics: Collection[str]) -> bytes:
    """The datagram that names these topics, or `LOOK_AT_EVERYTHING` if it would be too large."""
    try:
        datagram = msgspec.msgpack.encode(list(topics))
    except UnicodeEncodeError:  # half of a surrogate pair
        return LOOK_AT_EVERYTHING
    return datagram if len(datagram) <= LARGEST else LOOK_AT_EVERYTHING


def unpack(datagram: bytes) -> Heard:
    """What a datagram says; `NOTHING` if it is malformed or too large."""
    if len(datagram) > LARGEST:
        return NOTHING
    try:
        topics = _decoder.decode(datagram)
    except msgspec.DecodeError:
        return NOTHING
    return Heard(frozenset(topics)) if topics else EVERYTHING
