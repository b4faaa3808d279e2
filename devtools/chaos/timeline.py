"""Which fault happens when: drawn from a seed, written as JSON, read again for a replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

Kind = Literal[
    "kill",
    "term",
    "stop",
    "redis",
    "reset",
    "hole",
    "drop",
    "flush",
    "unlisten",
    "pause",
    "lock",
    "read",
    "vacuum",
    "deafen",
    "postgres",
    "freeze",
    "cut",
    "cancel",
    "hold",
    "migrate",
    "rabbitmq",
    "both",
    "stun",
    "flood",
]
"""kill, term, stop: SIGKILL, SIGTERM and SIGSTOP of a worker.

redis: SIGKILL of the server; reset: of all connections; hole: no byte moves; drop: one reply in ten
is lost; flush: SCRIPT FLUSH; unlisten: CLIENT KILL of what listens; pause: CLIENT PAUSE.

lock: a foreign process locks the file; read: one reads in it for long; vacuum: one writes it anew;
deafen: the sockets of wake-ups are removed.

postgres: SIGKILL of the server; freeze: SIGSTOP of it; cut: all of its connections are ended, as
"unlisten" does with those that listen; cancel: all statements are cancelled; hold: a session holds
the rows of tasks; migrate: all functions are made anew.

rabbitmq: SIGKILL of RabbitMQ; both: of it and of the store behind it; stun: SIGSTOP of it; flood:
its memory alarm. But for "both" they keep no worker from its work."""

Store = Literal["redis", "sqlite", "postgres", "rabbitmq"]

_OF_REDIS: dict[Kind, int] = {
    "kill": 20,
    "term": 10,
    "stop": 8,
    "redis": 8,
    "reset": 10,
    "hole": 6,
    "drop": 8,
    "flush": 8,
    "unlisten": 10,
    "pause": 8,
}
_OF_SQLITE: dict[Kind, int] = {
    "kill": 20,
    "term": 10,
    "stop": 8,
    "lock": 10,
    "read": 8,
    "vacuum": 8,
    "deafen": 8,
}
_OF_POSTGRES: dict[Kind, int] = {
    "kill": 20,
    "term": 10,
    "stop": 8,
    "postgres": 8,
    "freeze": 6,
    "reset": 8,
    "hole": 6,
    "drop": 8,
    "cut": 8,
    "unlisten": 8,
    "cancel": 8,
    "hold": 8,
    "migrate": 6,
}
_OF_RABBITMQ: dict[Kind, int] = {
    "kill": 20,
    "term": 8,
    "stop": 6,
    "redis": 12,
    "rabbitmq": 16,
    "both": 8,
    "stun": 6,
    "flood": 4,
    "reset": 8,
    "hole": 6,
    "drop": 6,
}
_WEIGHTS: dict[Store, dict[Kind, int]] = {
    "redis": _OF_REDIS,
    "sqlite": _OF_SQLITE,
    "postgres": _OF_POSTGRES,
    "rabbitmq": _OF_RABBITMQ,
}
"""How often each fault of a store is drawn."""

_LASTS: dict[Kind, tuple[float, float]] = {
    "redis": (0.1, 1.2),
    "hole": (0.8, 2.0),
    "drop": (1.0, 3.0),
    "pause": (0.2, 1.5),
    "lock": (0.2, 6.0),
    "read": (0.5, 5.0),
    "postgres": (0.1, 1.2),
    "freeze": (0.3, 3.0),
    "hold": (0.2, 5.0),
    "rabbitmq": (0.1, 1.5),
    "both": (0.3, 2.0),
    "stun": (0.5, 8.0),
    "flood": (0.5, 5.0),
}
"""Seconds from and to which a fault lasts; the others are a moment."""

OF_WORKERS: frozenset[Kind] = frozenset({"kill", "term", "stop"})
OF_THE_WAY: frozenset[Kind] = frozenset(
    {
        "redis",
        "reset",
        "hole",
        "drop",
        "pause",
        "lock",
        "both",
        "postgres",
        "freeze",
        "cut",
        "hold",
    }
)
"""Faults that keep workers from the store."""

_BUSY_AFTER: dict[Kind, float] = {
    "kill": 1.0,
    "term": 3.0,
    "stop": 0.5,
    "redis": 1.0,
    "postgres": 1.0,
    "rabbitmq": 5.0,
    "both": 5.0,
}
"""Seconds for which what was hurt is left alone afterwards."""


@dataclass(frozen=True)
class Fault:
    """One fault; `target` is the number of a worker's place, for those of workers."""

    at: float
    kind: Kind
    seconds: float = 0.0
    target: int = 0


@dataclass(frozen=True)
class Timeline:
    """All faults of a run, in order."""

    seed: int
    seconds: float
    workers: int
    lease: float
    faults: tuple[Fault, ...]
    store: Store = "redis"

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def read(path: Path) -> Timeline:
    """A timeline written before."""
    return msgspec.json.decode(path.read_bytes(), type=Timeline)


def draw(
    seed: int,
    seconds: float,
    *,
    workers: int,
    lease: float,
    pause: float,
    store: Store = "redis",
) -> Timeline:
    """Faults with `pause` seconds between two in the mean; what is hurt already is left alone."""
    chance = Random(seed)
    busy: dict[str, float] = {}
    faults: list[Fault] = []
    at = chance.expovariate(1 / pause)
    while at < seconds:
        fault = _one(chance, at, workers, lease, _WEIGHTS[store])
        hurt = f"worker {fault.target}" if fault.kind in OF_WORKERS else _hurt(fault.kind)
        if busy.get(hurt, 0.0) <= at:
            faults.append(fault)
            busy[hurt] = at + fault.seconds + _BUSY_AFTER.get(fault.kind, 0.1)
        at += chance.expovariate(1 / pause)
    return Timeline(seed, seconds, workers, lease, tuple(faults), store)


def _one(
    chance: Random, at: float, workers: int, lease: float, weights: Mapping[Kind, int]
) -> Fault:
    (kind,) = chance.choices(list(weights), list(weights.values()))
    target = chance.randrange(workers)
    if kind == "stop":
        seconds = chance.uniform(1.2, 2.0) * lease
    else:
        seconds = chance.uniform(*_LASTS[kind]) if kind in _LASTS else 0.0
    return Fault(round(at, 3), kind, round(seconds, 3), target)


def _hurt(kind: Kind) -> str:
    """What one fault at a time is done to."""
    return "server" if kind in ("redis", "pause", "postgres", "freeze") else kind
