"""The fields of a cron expression: which values each of them means.

A range holds what lies from its first value to its last, over the end of the field where the last
is smaller, and its steps count from the first: `22-4/3` is 22, 1, 4. Two day fields that both
restrict the day mean that either one fits.

croniter reads some of this in other ways. So the values are worked out here, and croniter gets them
as plain lists: one expression for each way in which a day may fit.
"""

import re
from collections.abc import Mapping

import msgspec

_SHOWN_PART = 40
"""Most characters of a wrong part that an error shows."""

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_DAY_NAMES = "sun mon tue wed thu fri sat"

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_VALUE = r"\d{1,4}|[a-z]{3}"
_RANGE = re.compile(
    rf"(?:(?P<all>\*)|(?P<first>{_VALUE})(?:-(?P<last>{_VALUE}))?)(?:/(?P<step>\d{{1,4}}))?",
    re.ASCII,
)
_EVERY = re.compile(r"\*(/0*1)?", re.ASCII)
"""What restricts no day, wherever it stands in the list of a field."""

_TO_LAST_DAY = re.compile(r"(?<=\d)-l(?=/|$)", re.ASCII)
_NEAREST_WEEKDAY = re.compile(r"w(\d{1,2})|(\d{1,2})w", re.ASCII)
_LAST_OF_WEEKDAY = re.compile(r"l(\d)", re.ASCII)
_NTH_OF_WEEKDAY = re.compile(r"([^#*/]+)#0?([1-5])", re.ASCII)

_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Most days of each month."""


class CronSyntaxError(ValueError):
    """A cron expression is not allowed. Its text says why."""


class _Field(msgspec.Struct, frozen=True):
    """A field: its title, its lowest and highest value, and the names of values."""

    title: str
    low: int
    high: int
    names: Mapping[str, int] = {}
    highest: int | None = None
    """The highest number that may be written, if it is above `high`: 7 is another Sunday."""

    def values(self, text: str) -> set[int]:
        """The values of a list of ranges and steps. Raises `CronSyntaxError`."""
        return {value for part in text.split(",") for value in self._range(part)}

    def written(self, values: set[int]) -> str:
        """The values as a plain list."""
        if len(values) == self._length:
            return "*"
        return ",".join(map(str, sorted(values)))

    @property
    def _length(self) -> int:
        return self.high - self.low + 1

    def _range(self, part: str) -> set[int]:
        match = _RANGE.fullmatch(part)
        if match is None:
            raise self._error(part)
        step = 1 if match["step"] is None else int(match["step"])
        if not 1 <= step <= self._length:
            raise CronSyntaxError(f"{self.title} {part!r}: a step is 1 to {self._length}")
        first = self.low if match["all"] else self._number(match["first"], part)
        if match["last"] is not None:
            last = self._number(match["last"], part)
        else:
            last = first if match["first"] and match["step"] is None else self.high
        if last < first:  # over the end of the field
            last += self._length
        count_from_low = (value - self.low for value in range(first, last + 1, step))
        return {self.low + count % self._length for count in count_from_low}

    def _number(self, text: str, part: str) -> int:
        number = int(text) if text.isdigit() else self.names.get(text, -1)
        if not self.low <= number <= (self.high if self.highest is None else self.highest):
            raise self._error(part)
        return number

    def _error(self, part: str) -> CronSyntaxError:
        names = list(self.names)
        named = f", or {names[0]} to {names[-1]}" if names else ""
        shown = part if len(part) <= _SHOWN_PART else f"{part[:_SHOWN_PART]}…"
        return CronSyntaxError(f"{self.title} {shown!r}: from {self.low} to {self.high}{named}")


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day", 1, 31)
_MONTH = _Field(
    "month", 1, 12, {name: 1 + count for count, name in enumerate(_MONTH_NAMES.split())}
)
_WEEKDAY = _Field(
    "day of the week", 0, 6, {name: count for count, name in enumerate(_DAY_NAMES.split())}, 7
)
_SECOND = _Field("second", 0, 59)


class Fields(msgspec.Struct, frozen=True):
    """A cron expression as it is understood."""

    ways: tuple[str, ...]
    """Expressions of plain lists, for croniter: it is due when one of them is."""
    is_for_every_hour: bool


def read_fields(expression: str) -> Fields:
    """Understand an expression. Raises `CronSyntaxError`."""
    fields = _ALIASES.get(expression.lower(), expression).lower().split()
    if len(fields) not in (5, 6):
        raise CronSyntaxError(f"it has {len(fields)} field{'' if len(fields) == 1 else 's'}")
    minute, hour, day, month, weekday, *second = fields
    minutes, hours = _MINUTE.values(minute), _HOUR.values(hour)
    months = _MONTH.values(month)
    seconds = [_SECOND.written(_SECOND.values(text)) for text in second]
    ways = [
        [_MINUTE.written(minutes), _HOUR.written(hours), days, _MONTH.written(months), weekdays]
        for days, weekdays in _ways(_days(day, months), _weekdays(weekday))
    ]
    if not ways:
        raise CronSyntaxError("its months have no such day: it never happens")
    return Fields(tuple(" ".join(way + seconds) for way in ways), len(hours) == 24)


def _ways(days: list[str] | None, weekdays: list[str] | None) -> list[tuple[str, str]]:
    """The ways in which a date may fit, as a day of the month and one of the week."""
    if days is None and weekdays is None:
        return [("*", "*")]
    return [*((day, "*") for day in days or []), *(("*", day) for day in weekdays or [])]


def _days(text: str, months: set[int]) -> list[str] | None:
    """What of the field for days croniter can take at once; None if every day fits.

    Leaves out what no month has.
    """
    ways, values = list[str](), set[int]()
    if text == "?":
        return None
    for part in text.split(","):
        nearest = _NEAREST_WEEKDAY.fullmatch(part)
        if part == "l":
            ways.append(part)
        elif nearest is not None:
            (day,) = _DAY.values(nearest[1] or nearest[2])
            ways.append(f"{day}w")
        else:
            values |= _DAY.values(_TO_LAST_DAY.sub("-31", part))
    if any(map(_EVERY.fullmatch, text.split(","))):
        return None
    longest = max(_MONTH_LENGTHS[month - 1] for month in months)
    possible = {day for day in values if day <= longest}
    return [_DAY.written(possible), *ways] if possible else ways


def _weekdays(text: str) -> list[str] | None:
    """What of the field for days of the week croniter can take at once; None if all fit."""
    ways, values = list[str](), set[int]()
    if text == "?":
        return None
    for part in text.split(","):
        last, nth = _LAST_OF_WEEKDAY.fullmatch(part), _NTH_OF_WEEKDAY.fullmatch(part)
        if last is not None:
            ways += [f"l{day}" for day in _WEEKDAY.values(last[1])]
        elif nth is not None:
            ways += [f"{day}#{nth[2]}" for day in _WEEKDAY.values(nth[1])]
        else:
            values |= _WEEKDAY.values(part)
    if any(map(_EVERY.fullmatch, text.split(","))):
        return None
    plain = [_WEEKDAY.written(values)] if values else []
    return [*plain, ",".join(ways)] if ways else plain
