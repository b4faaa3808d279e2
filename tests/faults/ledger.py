"""What tasks did, as they told it to a Redis of its own that no fault is done to."""

from dataclasses import dataclass

import msgspec
import redis

LEDGER_VARIABLE = "LTQ_FAULTS_LEDGER"

_EVENTS, _GATE = "events", "gate:"


@dataclass(frozen=True)
class Event:
    """One line."""

    what: str
    id: str
    attempt: int
    pid: int
    time: float


_decode = msgspec.json.Decoder(Event).decode


class Ledger:
    """Written by tasks, read by tests; gates let tests say when a task goes on."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def write(self, event: Event) -> None:
        self.client.rpush(_EVENTS, msgspec.json.encode(event))

    def events(self, what: str | None = None) -> list[Event]:
        """All lines, or those of one kind."""
        lines = self.client.lrange(_EVENTS, 0, -1)
        events = [_decode(line) for line in lines]
        return [event for event in events if what in (None, event.what)]

    def ids(self, what: str) -> set[str]:
        """The tasks with a line of this kind."""
        return {event.id for event in self.events(what)}

    def is_open(self, gate: str) -> bool:
        return bool(self.client.exists(_GATE + gate))

    def open(self, gate: str) -> None:
        """Let the tasks that wait for a gate go on."""
        self.client.set(_GATE + gate, 1)
