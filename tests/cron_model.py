"""What cron expressions mean: a slow and obvious model, and expressions to compare it with.

A range is walked value by value, as the hand of a clock goes, and each date is asked by itself.
"""

import calendar
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

Fits = Callable[[date], bool]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def walk(first: int, last: int, step: int, face: Sequence[int]) -> set[int]:
    """Each `step`th value on the way from the first to the last, as the hand of a clock goes."""
    place, count, taken = face.index(first), 0, set[int]()
    while True:
        value = face[place % len(face)]
        if count % step == 0:
            taken.add(value)
        if value == last:
            return taken
        place, count = place + 1, count + 1


@dataclass(frozen=True)
class Part:
    """A field, or what stands between its commas: its text and its values."""

    text: str
    values: frozenset[int]


@st.composite
def parts(draw: st.DrawFn, face: Sequence[int], names: Sequence[str] = ()) -> Part:
    """A value, a range, a step, or all."""

    def written(value: int) -> str:
        texts = [f"{value}", f"{value:02}"]
        if names:
            name = names[face.index(value)]
            texts += [name, name.title(), name.upper()]
        return draw(st.sampled_from(texts))

    first, last = draw(st.sampled_from(face)), draw(st.sampled_from(face))
    step = draw(st.integers(1, len(face)))
    match draw(st.integers(0, 5)):
        case 0:
            return Part("*", frozenset(face))
        case 1:
            return Part(f"*/{step}", frozenset(walk(face[0], face[-1], step, face)))
        case 2:
            return Part(written(first), frozenset({first}))
        case 3:
            values = walk(first, face[-1], step, face)
            return Part(f"{written(first)}/{step}", frozenset(values))
        case 4:
            text = f"{written(first)}-{written(last)}"
            return Part(text, frozenset(walk(first, last, 1, face)))
        case _:
            text = f"{written(first)}-{written(last)}/{step}"
            return Part(text, frozenset(walk(first, last, step, face)))


@st.composite
def fields(draw: st.DrawFn, face: Sequence[int], names: Sequence[str] = ()) -> Part:
    """A list of one to three parts."""
    found = draw(st.lists(parts(face, names), min_size=1, max_size=3))
    values = frozenset(value for part in found for value in part.values)
    return Part(",".join(part.text for part in found), values)


@dataclass(frozen=True)
class DayField:
    """A field for days, by the month or by the week."""

    text: str
    fits: Fits | None
    """Whether a date fits; None if the field does not restrict it."""


EVERY = ("*", "*/1", "?")
"""Fields that do not restrict the date."""


def weekday_of(day: date) -> int:
    return day.isoweekday() % 7


def length_of_month(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def nearest_weekday(number: int, day: date) -> int:
    """The day from Monday to Friday that is nearest to a day of a date's month, in that month."""
    length = length_of_month(day)
    wanted = min(number, length)
    working = [one for one in range(1, length + 1) if 1 <= weekday_of(day.replace(day=one)) <= 5]
    return min(working, key=lambda one: abs(one - wanted))


@st.composite
def _days(draw: st.DrawFn) -> tuple[str, Fits]:
    number = draw(st.integers(1, 31))
    match draw(st.integers(0, 4)):
        case 0:
            return draw(st.sampled_from("lL")), lambda day: day.day == length_of_month(day)
        case 1:
            text = draw(st.sampled_from([f"{number}w", f"w{number}", f"{number}W"]))
            return text, lambda day: day.day == nearest_weekday(number, day)
        case 2:
            return f"{number}-l", lambda day: day.day >= number
        case _:
            part = draw(parts(range(1, 32)).filter(lambda part: part.text not in EVERY))
            return part.text, lambda day: day.day in part.values


@st.composite
def _weekdays(draw: st.DrawFn) -> tuple[str, Fits]:
    number, nth = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    first, step = draw(st.integers(0, 7)), draw(st.integers(1, 7))
    text = draw(st.sampled_from([str(number), WEEKDAYS[number], *(["7"] if number == 0 else [])]))
    match draw(st.integers(0, 5)):
        case 0:
            return (
                f"L{number}",
                lambda day: weekday_of(day) == number and day.day + 7 > length_of_month(day),
            )
        case 1:
            return (
                f"{text}#{nth}",
                lambda day: weekday_of(day) == number and (day.day - 1) // 7 + 1 == nth,
            )
        case 2:  # 7 is the Sunday at the end of a week
            until_sunday = {value % 7 for value in range(first, 8, step)}
            return f"{first}-7/{step}", lambda day: weekday_of(day) in until_sunday
        case _:
            part = draw(parts(range(7), WEEKDAYS).filter(lambda part: part.text not in EVERY))
            return part.text, lambda day: weekday_of(day) in part.values


@st.composite
def day_fields(draw: st.DrawFn, strategy: st.SearchStrategy[tuple[str, Fits]]) -> DayField:
    found = draw(st.lists(strategy, max_size=3))
    if not found:
        return DayField(draw(st.sampled_from(EVERY)), None)
    return DayField(
        ",".join(text for text, _ in found), lambda day: any(fits(day) for _, fits in found)
    )


@dataclass(frozen=True)
class Dates:
    """The three fields of an expression that choose dates."""

    day: DayField
    month: Part
    weekday: DayField

    @property
    def text(self) -> str:
        return f"{self.day.text} {self.month.text} {self.weekday.text}"

    def fits(self, day: date) -> bool:
        if day.month not in self.month.values:
            return False
        restricted = [one.fits for one in (self.day, self.weekday) if one.fits is not None]
        return not restricted or any(fits(day) for fits in restricted)


DATES = st.builds(Dates, day_fields(_days()), fields(range(1, 13), MONTHS), day_fields(_weekdays()))


@dataclass(frozen=True)
class Times:
    """The fields of an expression that choose times of a day; `second` is None without one."""

    minute: Part
    hour: Part
    second: Part | None

    def expression(self, dates: Dates) -> str:
        second = "" if self.second is None else f" {self.second.text}"
        return f"{self.minute.text} {self.hour.text} {dates.text}{second}"

    @property
    def is_for_every_hour(self) -> bool:
        return len(self.hour.values) == 24

    def fits(self, wall: datetime) -> bool:
        seconds = {0} if self.second is None else self.second.values
        return (
            wall.minute in self.minute.values
            and wall.hour in self.hour.values
            and wall.second in seconds
        )


MINUTELY = st.builds(Times, fields(range(60)), fields(range(24)), st.none())
SECONDLY = st.builds(Times, fields(range(60)), fields(range(24)), fields(range(60)))


def instants(
    fits: Callable[[datetime], bool],
    zone: ZoneInfo,
    begin: datetime,
    end: datetime,
    unit: timedelta,
    *,
    is_for_every_hour: bool,
) -> Iterator[int]:
    """All instants later than `begin`, up to `end`: every unit of time is looked at.

    Uses nothing but the zone's own offsets. `begin` and `end` are in UTC.
    """
    # Before its time nothing must be owed: what comes before is only looked at.
    now = begin - (timedelta(days=1) if unit > timedelta(seconds=1) else timedelta(hours=4))
    before = now.astimezone(zone).replace(tzinfo=None) - unit
    seen = set[datetime]()
    while now <= end:
        wall = now.astimezone(zone).replace(tzinfo=None)
        passed = [wall]
        if not is_for_every_hour and wall - before > unit:  # the clocks were set forward
            steps = int((wall - before) / unit)
            passed = [before + step * unit for step in range(1, steps + 1)]
        due = [one for one in passed if fits(one)]
        if due and now > begin and (is_for_every_hour or not seen.issuperset(due)):
            yield int(now.timestamp())
        seen.update(due)
        now, before = now + unit, wall
