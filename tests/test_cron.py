"""Cron expressions: which instants they mean, also where clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltq._cron.expression import Cron, parse_cron, parse_zone
from ltq.errors import ConfigurationError
from tests.cron_model import (
    DATES,
    MINUTELY,
    SECONDLY,
    Dates,
    DayField,
    Part,
    Times,
    instants,
)

MINUTE = timedelta(minutes=1)


def at(cron: Cron, text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=cron.zone).timestamp())


def shown(cron: Cron, after: str, count: int) -> list[str]:
    """The next instants as clocks show them, with their offset."""
    found = islice(cron.iterate(at(cron, after)), count)
    return [datetime.fromtimestamp(one, cron.zone).strftime("%m-%d %H:%M %z") for one in found]


class TestParse:
    @pytest.mark.parametrize(
        "expression",
        [
            *("*/5 * * * *", "0 0 1 1 *", "0 9-17 * * mon-fri", "* * * * * */10", "@hourly"),
            *("@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@HOURLY"),
            *("  0   0 * *  * ", "0 0 l * *", "0 0 * * fri#2", "0 0 15w * *", "0 0 29 2 *"),
        ],
    )
    def test_these_are_allowed(self, expression: str) -> None:
        cron = parse_cron(expression, None)
        assert cron.expression == " ".join(expression.split())
        assert cron.next(0) > 0

    @pytest.mark.parametrize(
        "expression",
        [
            *("", " ", "* * * *", "61 * * * *", "* 24 * * *", "a b c d e", "* * * * * * 2026"),
            *("@reboot", "@", "@never", "r * * * *", "h * * * *", "0 r(1-3) * * *", "R * * * *"),
            *("0 0 30 2 *", "0 0 31 4 *", "*/0 * * * *", "-5 * * * *", "5-1/ * * * *", "* * * * 8"),
            *("* * * * * 60", "1,,2 * * * *", "é * * * *", "* * * * *\x00", "0" * 500, "? * * * *"),
        ],
    )
    def test_these_are_not(self, expression: str) -> None:
        with pytest.raises(ConfigurationError, match=r"cron expression .* is not allowed"):
            parse_cron(expression, None)

    @pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["*"] * 5])
    def test_nor_what_is_no_text(self, expression: object) -> None:
        with pytest.raises(ConfigurationError, match="five fields"):
            parse_cron(expression, None)

    @given(st.text("*/-,0123456789@lLwWhHrR#?jJaAnN mon", max_size=30))
    def test_any_other_text_is_told_or_works(self, expression: str) -> None:
        try:
            cron = parse_cron(expression, None)
        except ConfigurationError:
            return
        assert cron.next(0) > 0

    def test_seconds_are_last(self) -> None:
        cron = parse_cron("30 2 * * * 15", None)
        assert cron.next(0) == 2 * 3600 + 30 * 60 + 15


class TestZones:
    @pytest.mark.parametrize("zone", ["Europe/Berlin", ZoneInfo("Europe/Berlin")])
    def test_a_name_or_a_zone(self, zone: object) -> None:
        assert str(parse_zone(zone)) == "Europe/Berlin"

    @pytest.mark.parametrize("zone", [None, "UTC", UTC])
    def test_without_one_it_is_utc(self, zone: object) -> None:
        assert parse_zone(zone) is UTC

    @pytest.mark.parametrize(
        "zone", ["Europe/Atlantis", "", "Europe", "/etc/passwd", "../zoneinfo", "a\x00", 1, "é"]
    )
    def test_others_are_told(self, zone: object) -> None:
        with pytest.raises(ConfigurationError, match=r"tz=.* is not allowed: .*Europe/Berlin"):
            parse_zone(zone)


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


class TestClocksSetForward:
    @pytest.mark.parametrize(
        ("zone", "day", "after", "before", "then"),
        [
            (BERLIN, "03-29", "2026-03-28T12:00", "+0100", "+0200"),
            (NEW_YORK, "03-08", "2026-03-07T12:00", "-0500", "-0400"),
        ],
    )
    def test_a_daily_one_in_the_gap_fires_at_its_end(
        self, zone: str, day: str, after: str, before: str, then: str
    ) -> None:
        daily = parse_cron("30 2 * * *", zone)
        first, second = shown(daily, after, 2)
        assert first == f"{day} 03:00 {then}"
        assert second.endswith(f"02:30 {then}")
        hourly = parse_cron("30 * * * *", zone)
        assert shown(hourly, after[:-5] + "23:40", 4)[1:4] == [
            f"{day} 01:30 {before}",
            f"{day} 03:30 {then}",
            f"{day} 04:30 {then}",
        ]

    def test_several_in_the_gap_are_one(self) -> None:
        cron = parse_cron("*/10 2,3 * * *", BERLIN)
        assert shown(cron, "2026-03-28T12:00", 3) == [
            "03-29 03:00 +0200",
            "03-29 03:10 +0200",
            "03-29 03:20 +0200",
        ]

    def test_a_day_that_was_left_out(self) -> None:
        cron = parse_cron("30 2 * * *", "Pacific/Apia")
        assert shown(cron, "2011-12-29T12:00", 2) == ["12-31 00:00 +1400", "12-31 02:30 +1400"]


class TestClocksSetBack:
    @pytest.mark.parametrize(
        ("zone", "day", "after", "hour", "before", "then"),
        [
            (BERLIN, "10-25", "2026-10-24T12:00", "02", "+0200", "+0100"),
            (NEW_YORK, "11-01", "2026-10-31T12:00", "01", "-0400", "-0500"),
        ],
    )
    def test_a_daily_one_fires_once_an_hourly_one_runs_through(
        self, zone: str, day: str, after: str, hour: str, before: str, then: str
    ) -> None:
        daily = parse_cron(f"30 {int(hour)} * * *", zone)
        first, second = shown(daily, after, 2)
        assert first == f"{day} {hour}:30 {before}"
        assert not second.startswith(day)
        hourly = parse_cron("30 * * * *", zone)
        begin = at(hourly, f"2026-{day}T00:00")
        found = [one for one in shown(hourly, f"2026-{day}T00:00", 5) if f" {hour}:" in one]
        assert found == [f"{day} {hour}:30 {before}", f"{day} {hour}:30 {then}"]
        assert len(hourly.latest(begin, begin + 25 * 3600, 100)) == 25

    def test_each_minute_of_one_hour_is_there_once(self) -> None:
        cron = parse_cron("* 2 * * *", BERLIN)
        found = cron.latest(at(cron, "2026-10-24T12:00"), at(cron, "2026-10-25T12:00"), 1000)
        assert len(found) == 60


class TestLatest:
    def test_it_gives_the_last_ones_in_order(self) -> None:
        cron = parse_cron("* * * * * *", None)
        assert cron.latest(0, 10_000_000, 3) == [9_999_998, 9_999_999, 10_000_000]
        assert cron.latest(10, 12, 1000) == [11, 12]
        assert cron.latest(12, 12, 5) == []

    @given(st.integers(1, 400_000), st.integers(1, 50))
    @settings(max_examples=25)
    def test_it_is_what_iterating_gives(self, width: int, count: int) -> None:
        cron = parse_cron("*/20 1,5 * * *", BERLIN)
        end = at(cron, "2026-10-26T12:00")
        slow = []
        for one in cron.iterate(end - width):
            if one > end:
                break
            slow.append(one)
        assert cron.latest(end - width, end, count) == slow[-count:]


CHANGES = [
    *((BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"), (NEW_YORK, "2026-03-08")),
    *((NEW_YORK, "2026-11-01"), ("Australia/Lord_Howe", "2026-04-05"), ("UTC", "2026-01-01")),
    *(("Australia/Lord_Howe", "2026-10-04"), ("America/Havana", "2026-11-01")),
    *(("Africa/Casablanca", "2026-03-22"), ("Asia/Kolkata", "2026-05-05")),
    *(("America/Sao_Paulo", "2018-11-04"), ("America/Sao_Paulo", "2018-02-17")),
    *(("Pacific/Apia", "2011-12-30"), ("Antarctica/Troll", "2026-03-29")),
]


def agree(times: Times, dates: Dates, zone: str, begin: datetime, end: datetime) -> None:
    """Check the instants of an expression against those of the slow model."""
    expression = times.expression(dates)
    try:
        cron = parse_cron(expression, zone)
    except ConfigurationError:
        assert "31" in expression or "30" in expression  # it never happens
        return
    unit = MINUTE if times.second is None else timedelta(seconds=1)
    expected = list(
        instants(
            lambda wall: times.fits(wall) and dates.fits(wall.date()),
            *(ZoneInfo(zone), begin, end, unit),
            is_for_every_hour=times.is_for_every_hour,
        )
    )
    found = list(islice(cron.iterate(int(begin.timestamp())), len(expected)))
    assert found == expected
    assert cron.next(expected[-1] if expected else int(begin.timestamp())) > end.timestamp()


EVERY_DAY = Dates(DayField("*", None), Part("*", frozenset(range(1, 13))), DayField("*", None))


@pytest.mark.slow
@given(MINUTELY, st.just(EVERY_DAY) | DATES, st.sampled_from(CHANGES), st.integers(0, 2880))
@settings(max_examples=80, deadline=None)
def test_minutes_are_what_a_slow_model_says(
    times: Times, dates: Dates, change: tuple[str, str], shift: int
) -> None:
    day = datetime.fromisoformat(change[1]).replace(tzinfo=UTC)
    begin, end = day - timedelta(days=1) + shift * MINUTE, day + timedelta(days=2)
    agree(times, dates, change[0], begin, end)


@pytest.mark.slow
@given(SECONDLY, st.sampled_from(CHANGES), st.integers(-12 * 60, 26 * 60))
@settings(max_examples=30, deadline=None)
def test_seconds_are_what_a_slow_model_says(
    times: Times, change: tuple[str, str], shift: int
) -> None:
    begin = datetime.fromisoformat(change[1]).replace(tzinfo=UTC) + shift * MINUTE
    agree(times, EVERY_DAY, change[0], begin, begin + timedelta(hours=2))
