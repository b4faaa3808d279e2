"""What tasks did, as they told it to a Redis of its own that no fault is done to."""

from dataclasses import dataclass

import msgspec
import redis

_EVENTS, _GATE = "events", "gate:"


@dataclass(frozen=True)
class Event:
    """One line."""

    what: str
    id: str
    attempt: int
    pid: int
    time: float
    token: int = 0
    """Of the run's lease, where the task tells it."""
    claimed: float = 0.0
    """When that lease began, if it is known and the token does not tell it."""


_decode = msgspec.json.Decoder(Event).decode


class Ledger:
    """Written by tasks, read by tests; gates let tests say when a task goes on."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def write(self, event: Event) -> None:
        self.client.rpush(_EVENTS, msgspec.json.encode(event))

    def events(self, what: str | None = None) -> list[Event]:
        """All lines, or those of one kind."""
        return [event for event in self.since(0) if what in (None, event.what)]

    def count(self) -> int:
        """How many lines there are."""
        return int(self.client.llen(_EVENTS))

    def since(self, line: int) -> list[Event]:
        """The lines from one on, counted from 0."""
        return [_decode(found) for found in self.client.lrange(_EVENTS, line, -1)]

    def ids(self, what: str) -> set[str]:
        """The tasks with a line of this kind."""
        return {event.id for event in self.events(what)}

    def is_open(self, gate: str) -> bool:
        return bool(self.client.exists(_GATE + gate))

    def open(self, gate: str) -> None:
        """Let the tasks that wait for a gate go on."""
        self.client.set(_GATE + gate, 1)
