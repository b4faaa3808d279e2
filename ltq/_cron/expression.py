"""Cron expressions: which instants they mean in a time zone whose clocks may change.

croniter knows the wall times of an expression. Which instants these are is decided here:

- An expression for every hour (`30 * * * *`) means every instant at which a clock on the wall shows
  such a time: none in an hour that is skipped, twice as many in an hour that is repeated.
- Any other expression (`30 2 * * *`) means each wall time once. If a time comes twice, the first
  counts; if it is skipped, the instant at which the clocks are set forward.
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
"""A field with a random value: croniter would choose another one in each process."""

_SECOND = timedelta(seconds=1)
_STRIDE = 6 * 3600
"""Seconds within which clocks do not change twice."""

_FIRST_WIDTH = 64
"""Length, in seconds, of the first period that is searched for the latest instants."""


class Cron(msgspec.Struct, frozen=True):
    """A cron expression in a time zone; its instants are whole Unix seconds."""

    expression: str
    zone: tzinfo
    is_for_every_hour: bool
    """Whether its instants follow the clocks through their changes, see the module."""

    @property
    def zone_name(self) -> str:
        """The name of the zone."""
        return str(self.zone)

    def next(self, after: int) -> int:
        """The first instant later than `after`."""
        if self.is_for_every_hour:
            return self._next_on_clocks(after)
        return self._next_once(after)

    def iterate(self, after: int) -> Iterator[int]:
        """The instants later than `after`, in order; they never end."""
        while True:
            after = self.next(after)
            yield after

    def latest(self, after: int, until: int, count: int) -> list[int]:
        """The last instants, at most `count`, that are later than `after` and not after `until`.

        It searches ever longer periods before `until`: a long one costs no more than its end.
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
        """The next instant if each wall time counts once."""
        # Instants are in the order of their wall times, so wall times up to that of `after` have no
        # instant later than `after`.
        for wall in _walls(self.expression, self._wall(after)):
            instant = self._instant(wall)
            if instant > after:
                return instant
        raise AssertionError("wall times end only by an error")  # pragma: no cover

    def _next_on_clocks(self, after: int) -> int:
        """The next instant at which clocks show a wall time of the expression."""
        start, shown = after, self._wall(after)
        while True:
            # The next wall time, as long as clocks stay as they are at `start`.
            instant = _unix(next(_walls(self.expression, shown))) - self._offset(start)
            change = self._change(start, instant)
            if change is None:
                return instant
            # They change before. Go on from there: the time that they then show counts as well.
            start, shown = change, self._wall(change) - _SECOND

    def _instant(self, wall: datetime) -> int:
        """When clocks first show a wall time, or the end of the gap if they skip it."""
        instant = int(wall.replace(tzinfo=self.zone, fold=0).timestamp())
        if self._wall(instant) == wall:
            return instant
        # In a gap the two readings, by the offset before and after it, lie around the change.
        other = int(wall.replace(tzinfo=self.zone, fold=1).timestamp())
        before, later = min(instant, other), max(instant, other)
        return self._change(before, later) or later

    def _change(self, after: int, until: int) -> int | None:
        """The first instant up to `until` at which the offset differs from that of `after`.

        None if the offset does not change.
        """
        offset = self._offset(after)
        low = after
        while low < until:
            high = min(low + _STRIDE, until)
            if self._offset(high) != offset:
                return self._bisect(low, high, offset)
            low = high
        return None

    def _bisect(self, low: int, high: int, offset: int) -> int:
        """The first instant between `low` and `high` at which the offset is not `offset`."""
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _wall(self, instant: int) -> datetime:
        """What clocks show at an instant."""
        return datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, instant: int) -> int:
        """Seconds by which the wall time is ahead of UTC."""
        return _unix(self._wall(instant)) - instant


def parse_cron(expression: object, zone: object) -> Cron:
    """Check an expression and a zone; None means UTC. Raises `ConfigurationError`."""
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
    return Cron(plain, parse_zone(zone), _is_for_every_hour(plain))


def parse_zone(zone: object) -> tzinfo:
    """A time zone from its name, or a `ZoneInfo`; None means UTC. Raises `ConfigurationError`."""
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
    """The wall times of an expression later than `after`, without a zone; they never end."""
    # Imported here because it is slow, and most programs have no schedule.
    from croniter import croniter

    found = croniter(expression, after)
    while True:
        yield found.get_next(datetime)


def _is_for_every_hour(expression: str) -> bool:
    from croniter import croniter

    hours = croniter(expression, datetime(2024, 1, 1)).expanded[1]
    return "*" in hours or len(set(hours)) == 24


def _unix(wall: datetime) -> int:
    return int(wall.replace(tzinfo=UTC).timestamp())
