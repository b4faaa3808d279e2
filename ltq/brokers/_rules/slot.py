"""What is kept of a schedule, and of the schedulers that fire it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of something that has a name."""

    name: str
    number: int
    """It is greater than that of every earlier change."""
    is_gone: bool
    """Whether it was removed."""


class Changes(Protocol):
    """The names of what was changed, in the order of their last change."""

    def note(self, name: str, *, is_gone: bool, most_gone: int) -> None:
        """A name was changed now. Of those that are gone the `most_gone` latest are kept."""
        ...

    def after(self, number: int, limit: int) -> Sequence[Change]:
        """The first `limit` changes after the one with this number."""
        ...

    def latest(self) -> int:
        """The number of the last change; 0 if there was none."""
        ...
