"""Cron expressions: which instants they mean in a time zone whose clocks may change.

The wall times of an expression are found by croniter. Which instants these are is decided here:

- An expression for every hour (`30 * * * *`) means every instant at which a clock on the wall shows
  such a time: none in an hour that is skipped, twice as many in an hour that is repeated.
- Any other expression (`30 2 * * *`) means each wall time once. If a time comes twice, the first
  counts; if it is skipped, the instant at which the clocks are set forward.
"""

from collections import deque
from collections.abc import Generator, Iterator
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import merge
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from ltq._cron.fields import Fields, read_fields
from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

if TYPE_CHECKING:
    from croniter import croniter

_ALLOWED = (
    'five fields like "*/5 * * * *", six with the seconds last, or @hourly, @daily, @midnight, '
    "@weekly, @monthly, @yearly, @annually"
)
T = TypeVar("T")

Steps = Generator[None, None, T]
"""A long computation in short steps, between which others may run."""

_SECOND = timedelta(seconds=1)
_STRIDE = 6 * 3600
"""Seconds within which clocks do not change twice."""

_FIRST_WIDTH = 64
"""Length, in seconds, of the first period that is searched for the latest instants."""

_MOST_SEARCHERS = 16_384
"""How many expressions have their searcher kept, of about a kilobyte each."""


class Cron(msgspec.Struct, frozen=True):
    """A cron expression in a time zone; its instants are whole Unix seconds."""

    expression: str
    zone: tzinfo
    fields: Fields

    @property
    def zone_name(self) -> str:
        """The name of the zone."""
        return str(self.zone)

    def next(self, after: int) -> int:
        """The first instant later than `after`."""
        if self.fields.is_for_every_hour:
            return self._next_on_clocks(after)
        return self._next_once(after)

    def iterate(self, after: int) -> Iterator[int]:
        """The instants later than `after`, in order; they never end."""
        while True:
            after = self.next(after)
            yield after

    def latest(self, after: int, until: int, count: int) -> list[int]:
        """The last instants, at most `count`, that are later than `after` and not after `until`."""
        return finish(self.search(after, until, count))

    def search(self, after: int, until: int, count: int) -> Steps[list[int]]:
        """`latest` in steps, one for each instant that it looks at.

        It searches ever longer periods before `until`: a long one costs no more than its end.
        """
        width = _FIRST_WIDTH
        while True:
            start = max(after, until - width)
            found: deque[int] = deque(maxlen=count)
            for instant in takewhile(lambda instant: instant <= until, self.iterate(start)):
                found.append(instant)
                yield
            if len(found) == count or start == after:
                return list(found)
            # Four times as long, or as long as it seems to need if that is less.
            width = min(4 * width, 2 * width * count // max(len(found), 1))

    def _next_once(self, after: int) -> int:
        """The next instant if each wall time counts once."""
        # Instants are in the order of their wall times, so wall times up to that of `after` have no
        # instant later than `after`.
        for wall in _walls(self.fields, self._wall(after)):
            instant = self._instant(wall)
            if instant > after:
                return instant
        raise AssertionError("wall times end only by an error")  # pragma: no cover

    def _next_on_clocks(self, after: int) -> int:
        """The next instant at which clocks show a wall time of the expression."""
        start, shown = after, self._wall(after)
        while True:
            # The next wall time, as long as clocks stay as they are at `start`.
            instant = _unix(next(_walls(self.fields, shown))) - self._offset(start)
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


def finish(steps: Steps[T]) -> T:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def parse_cron(expression: object, zone: object) -> Cron:
    """Check an expression and a zone; None means UTC. Raises `ConfigurationError`."""
    plain = " ".join(expression.split()) if isinstance(expression, str) else ""
    try:
        fields = read_fields(plain)
        for way in fields.ways:
            _searcher(way)  # croniter 6.0 does not know `15w`
    except ValueError as error:  # a `CronSyntaxError`, or one of croniter
        reason = f" ({error})" if plain else ""
        raise ConfigurationError(
            f"cron expression {short_repr(expression)} is not allowed{reason}: {_ALLOWED}"
        ) from error
    return Cron(plain, parse_zone(zone), fields)


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


def _walls(fields: Fields, after: datetime) -> Iterator[datetime]:
    """The wall times of an expression later than `after`, without a zone; they never end.

    One that fits in several ways comes several times.
    """
    return merge(*(_walls_of(way, after) for way in fields.ways))


def _walls_of(way: str, after: datetime) -> Iterator[datetime]:
    found = copy(_searcher(way))
    found.set_current(after)
    while True:
        yield found.get_next(datetime)


@lru_cache(maxsize=_MOST_SEARCHERS)
def _searcher(way: str) -> "croniter":
    """What searches for the wall times of one expression. It is slow to make, and is copied."""
    from croniter import croniter  # slow to import, and most programs have no schedule

    return croniter(way, 0.0)


def _unix(wall: datetime) -> int:
    return int(wall.replace(tzinfo=UTC).timestamp())
