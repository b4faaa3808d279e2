"""Cron expressions: the instants that they stand for in a time zone, also where its clocks change.

croniter knows the wall times of an expression. Which instants these are is decided here:

- An expression for every hour (`30 * * * *`) runs through. It stands for every instant at which a
  clock on the wall shows such a time: none in an hour that is skipped, twice as many in an hour
  that is repeated.
- Any other expression (`30 2 * * *`) stands for each wall time once. Of a time that comes twice,
  the first; for a time that is skipped, the instant at which the clocks are set forward.
"""

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo

import msgspec

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_ALLOWED = (
    'five fields like "*/5 * * * *", six with the seconds last, or @hourly, @daily, @midnight, '
    "@weekly, @monthly, @yearly, @annually"
)
_RANDOM = re.compile(r"[hr](\(.*\))?(/.*)?", re.IGNORECASE)
"""A field with a random value, which croniter chooses anew in each process."""

_SECOND = timedelta(seconds=1)
_STRIDE = 6 * 3600
"""Seconds within which clocks do not change twice."""

_FIRST_WIDTH = 64
"""Seconds that are searched first for the latest instants."""


class Cron(msgspec.Struct, frozen=True):
    """A cron expression in a time zone; its instants are whole Unix seconds."""

    expression: str
    zone: tzinfo
    runs_through: bool
    """Whether it is an expression for every hour."""

    @property
    def zone_name(self) -> str:
        """The name of the zone."""
        return str(self.zone)

    def next(self, after: int) -> int:
        """The first instant later than `after`."""
        return self._next_through(after) if self.runs_through else self._next_once(after)

    def iterate(self, after: int) -> Iterator[int]:
        """The instants later than `after`, in order, without end."""
        while True:
            after = self.next(after)
            yield after

    def latest(self, after: int, until: int, count: int) -> list[int]:
        """The latest instants, at most `count`, that are later than `after`, up to `until`.

        Searches ever longer times before `until`, so that a long time costs no more than its end.
        """
        width = _FIRST_WIDTH
        while True:
            start = max(after, until - width)
            instants = takewhile(lambda instant: instant <= until, self.iterate(start))
            found = deque(instants, maxlen=count)
            if len(found) == count or start == after:
                return list(found)
            width *= 4

    def _next_once(self, after: int) -> int:
        # Instants are in the order of their wall times, so wall times up to that of `after` have no
        # instant later than `after`.
        for wall in _walls(self.expression, self._wall(after)):
            instant = self._instant(wall)
            if instant > after:
                return instant
        raise AssertionError("wall times end only by an error")  # pragma: no cover

    def _next_through(self, after: int) -> int:
        wall = self._wall(after)
        while True:
            offset = self._offset(after)
            instant = _unix(next(_walls(self.expression, wall))) - offset
            change = self._change(after, instant)
            if change is None:
                return instant
            # Go on with what the clocks show from their change on, that instant included.
            after, wall = change, self._wall(change) - _SECOND

    def _instant(self, wall: datetime) -> int:
        """When clocks first show a wall time, or the end of the gap that it is in."""
        instant = int(wall.replace(tzinfo=self.zone, fold=0).timestamp())
        if self._wall(instant) == wall:
            return instant
        # In a gap, the two readings lie around the change: by the offset after it, and before it.
        other = int(wall.replace(tzinfo=self.zone, fold=1).timestamp())
        before, later = min(instant, other), max(instant, other)
        return self._change(before, later) or later

    def _change(self, after: int, until: int) -> int | None:
        """The first instant, up to `until`, at which the offset is not that of `after`."""
        offset = self._offset(after)
        low = after
        while low < until:
            high = min(low + _STRIDE, until)
            if self._offset(high) != offset:
                return self._bisect(low, high, offset)
            low = high
        return None

    def _bisect(self, low: int, high: int, offset: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _wall(self, instant: int) -> datetime:
        """What clocks show."""
        return datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, instant: int) -> int:
        """Seconds by which the wall time is ahead of UTC."""
        return _unix(self._wall(instant)) - instant


def parse_cron(expression: object, zone: object) -> Cron:
    """Check an expression and a zone (None: UTC). Raises `ConfigurationError`."""
    fields = expression.split() if isinstance(expression, str) else []
    parts = [part for field in fields for part in field.split(",")]
    if not (len(fields) in (5, 6) or _is_alias(fields)) or any(map(_RANDOM.fullmatch, parts)):
        raise ConfigurationError(
            f"cron expression {short_repr(expression)} is not allowed: {_ALLOWED}"
        )
    plain = " ".join(fields)
    try:
        next(_walls(plain, datetime(2024, 1, 1)))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{error}".rstrip(". ") or type(error).__name__
        raise ConfigurationError(
            f"cron expression {short_repr(expression)} is not allowed ({reason}): {_ALLOWED}"
        ) from error
    return Cron(plain, parse_zone(zone), _runs_through(plain))


def parse_zone(zone: object) -> tzinfo:
    """A time zone, from its name or given as one; None is UTC. Raises `ConfigurationError`."""
    if zone is None or zone is UTC or zone == "UTC":
        return UTC
    if isinstance(zone, ZoneInfo):
        return zone
    if isinstance(zone, str):
        try:
            return ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            pass
    raise ConfigurationError(
        f"tz={short_repr(zone)} is not allowed: "
        "a time zone's name like 'Europe/Berlin', or a ZoneInfo"
    )


def _is_alias(fields: list[str]) -> bool:
    return len(fields) == 1 and fields[0].startswith("@")


def _walls(expression: str, after: datetime) -> Iterator[datetime]:
    """The wall times of an expression later than `after`, without end and without a zone."""
    # Imported here because it is slow, and most programs have no schedule.
    from croniter import croniter

    found = croniter(expression, after)
    while True:
        yield found.get_next(datetime)


def _runs_through(expression: str) -> bool:
    from croniter import croniter

    hours = croniter(expression, datetime(2024, 1, 1)).expanded[1]
    return "*" in hours or len(set(hours)) == 24


def _unix(wall: datetime) -> int:
    return int(wall.replace(tzinfo=UTC).timestamp())
