"""The last slots of schedules, as they should be kept."""

from collections.abc import Callable
from dataclasses import dataclass

from ltq._ticks import Tick, Ticked
from ltq.message import Envelope, Published

LIFE = 30 * 86400
PATIENCE = 60


@dataclass(frozen=True)
class Kept:
    """What is known of a schedule."""

    spec: str
    last: int
    due: int
    reign: int
    """How often its spec has changed: with another one it is another schedule."""


class Slots:
    """The reference for `fire`. No slot is more than a day ahead here."""

    def __init__(self, publish: Callable[[Envelope, float], Published]) -> None:
        self._publish = publish
        self.kept: dict[str, Kept] = {}

    def begins(self, tick: Tick, now: float) -> bool:
        """Whether this call makes a schedule begin now."""
        return tick.after is None and self._own(tick, now) is None

    def begin(self, tick: Tick, last: int) -> None:
        """It began, at the second that the broker said."""
        self._keep(tick, last)

    def fire(self, tick: Tick, now: float) -> Ticked:
        """What is to be answered."""
        kept, own = self._look(tick, now), self._own(tick, now)
        if tick.after is None:
            assert own is not None, "it begins: see `begins`"
            return Ticked(own.last)
        if kept is not None and own is None and now < kept.due + PATIENCE:
            return Ticked(kept.last, is_other=True)
        if own is not None and own.last != tick.after:
            return Ticked(own.last)
        published = None if tick.envelope is None else self._publish(tick.envelope, now)
        if published is Published.FULL:
            return Ticked(tick.after, published)
        self._keep(tick, tick.slot)
        return Ticked(tick.slot, published)

    def _look(self, tick: Tick, now: float) -> Kept | None:
        kept = self.kept.get(tick.schedule)
        return None if kept is None or kept.due + LIFE <= now else kept

    def _own(self, tick: Tick, now: float) -> Kept | None:
        kept = self._look(tick, now)
        return kept if kept is not None and kept.spec == tick.spec else None

    def _keep(self, tick: Tick, last: int) -> None:
        before = self.kept.get(tick.schedule)
        reign = 0 if before is None else before.reign + (before.spec != tick.spec)
        self.kept[tick.schedule] = Kept(tick.spec, last, tick.due, reign)
