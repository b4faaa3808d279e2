"""What is kept of a schedule, and of the schedulers that fire it."""

from dataclasses import dataclass

from ltq.broker.schedules import KeptSchedule


@dataclass(frozen=True, slots=True)
class KeptSlot:
    """What is known of a schedule, and its last slot."""

    spec: str
    last: int
    due: int
    holders: tuple["Holder", ...] = ()
    """The schedulers that have called with this spec. Silent ones may be among them."""
    fired: int | None = None
    """The last slot that enqueued a task."""
    put: str = ""
    """The digest of what was put; empty for a schedule that is declared in code."""
    schedule: KeptSchedule | None = None
    is_paused: bool = False
    resumed: float = 0.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A run of a scheduler, and when it declared a schedule."""

    scheduler: str
    since: float


@dataclass(frozen=True, slots=True)
class Heard:
    """When a scheduler was last heard of, and whether it said then that it ends."""

    time: float
    left: bool = False
