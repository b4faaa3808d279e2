"""What each field of a cron expression means."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings

from ltq._cron.expression import parse_cron
from ltq.errors import ConfigurationError
from tests.cron_model import DATES, WEEKDAYS, Dates

AFTER = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) - 1


def found(expression: str, form: str, until: str) -> list[str]:
    """What of its instants is shown, each once, in order, from 2026 up to a moment."""
    cron, end = parse_cron(expression, None), datetime.fromisoformat(until)
    texts: list[str] = []
    for instant in cron.iterate(AFTER):
        moment = datetime.fromtimestamp(instant, UTC)
        if moment.replace(tzinfo=None) >= end:
            return texts
        text = moment.strftime(form)
        if not texts or texts[-1] != text:
            texts.append(text)
    raise AssertionError("instants never end")


def numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts]


def refusal(expression: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_cron(expression, None)
    return str(caught.value)


class TestRanges:
    @pytest.mark.parametrize(
        ("hours", "expected"),
        [
            ("9-9", [9]),
            ("0-0", [0]),
            ("23-23", [23]),
            ("9-9/5", [9]),
            ("9-11", [9, 10, 11]),
            ("9-17/4", [9, 13, 17]),
            ("22-2", [0, 1, 2, 22, 23]),
            ("22-4/3", [1, 4, 22]),
            ("20-8/6", [2, 8, 20]),
            ("23-0/2", [23]),
            ("5-4", list(range(24))),
            ("5-4/12", [5, 17]),
            ("*/7", [0, 7, 14, 21]),
            ("*/24", [0]),
            ("5/7", [5, 12, 19]),
            ("23/5", [23]),
            ("0/12", [0, 12]),
            ("1,5-7,20-23/2", [1, 5, 6, 7, 20, 22]),
            ("05,07-09", [5, 7, 8, 9]),
        ],
    )
    def test_of_hours(self, hours: str, expected: list[int]) -> None:
        assert numbers(found(f"0 {hours} * * *", "%H", "2026-01-02")) == expected

    @pytest.mark.parametrize(
        ("minutes", "expected"),
        [
            ("50-10/7", [4, 50, 57]),
            ("55-5/5", [0, 5, 55]),
            ("59/15", [59]),
            ("30-30", [30]),
            ("*/60", [0]),
            ("10-50/20", [10, 30, 50]),
        ],
    )
    def test_of_minutes_and_seconds(self, minutes: str, expected: list[int]) -> None:
        assert numbers(found(f"{minutes} * * * *", "%M", "2026-01-01T01:00")) == expected
        assert numbers(found(f"* * * * * {minutes}", "%S", "2026-01-01T00:01")) == expected

    @pytest.mark.parametrize(
        ("months", "expected"),
        [
            ("jan-jan", [1]),
            ("nov-feb", [1, 2, 11, 12]),
            ("Nov-FEB/2", [1, 11]),
            ("10-4/3", [1, 4, 10]),
            ("dec/3", [12]),
            ("12-12", [12]),
            ("feb,6-8", [2, 6, 7, 8]),
            ("*/5", [1, 6, 11]),
        ],
    )
    def test_of_months(self, months: str, expected: list[int]) -> None:
        assert numbers(found(f"0 0 1 {months} *", "%m", "2027-01-01")) == expected

    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            ("7-7", [7]),
            ("28-3", [1, 2, 3, 28, 29, 30, 31]),
            ("28-5/2", [1, 3, 5, 28, 30]),
            ("25-l", [25, 26, 27, 28, 29, 30, 31]),
            ("25-l/3", [25, 28, 31]),
            ("31-31", [31]),
            ("20/5", [20, 25, 30]),
        ],
    )
    def test_of_days(self, days: str, expected: list[int]) -> None:
        assert numbers(found(f"0 0 {days} * *", "%d", "2026-02-01")) == expected

    @pytest.mark.parametrize(
        ("weekdays", "expected"),
        [
            ("sun", "Sun"),
            ("7", "Sun"),
            ("0", "Sun"),
            ("7-7", "Sun"),
            ("sun-sun", "Sun"),
            ("0-0", "Sun"),
            ("7-0", "Sun"),
            ("fri-fri", "Fri"),
            ("sun-sat", "Sun Mon Tue Wed Thu Fri Sat"),
            ("0-6", "Sun Mon Tue Wed Thu Fri Sat"),
            ("1-7", "Sun Mon Tue Wed Thu Fri Sat"),
            ("0-7", "Sun Mon Tue Wed Thu Fri Sat"),
            ("fri-mon", "Sun Mon Fri Sat"),
            ("5-7", "Sun Fri Sat"),
            ("6-0", "Sun Sat"),
            ("7-2", "Sun Mon Tue"),
            ("sat-mon/2", "Mon Sat"),
            ("6-0/2", "Sat"),
            ("1-7/2", "Sun Mon Wed Fri"),
            ("7/2", "Sun Tue Thu Sat"),
            ("sun/3", "Sun Wed Sat"),
            ("5/2", "Fri"),
            ("6,7", "Sun Sat"),
            ("Mon-FRI/2", "Mon Wed Fri"),
        ],
    )
    def test_of_days_of_the_week(self, weekdays: str, expected: str) -> None:
        names = set(found(f"0 0 * * {weekdays}", "%a", "2026-02-01"))
        assert sorted(names, key=lambda name: WEEKDAYS.index(name.lower())) == expected.split()


class TestTwoDayFields:
    @pytest.mark.parametrize(
        ("dates", "expected"),
        [
            ("13 * 5", "01-02 01-09 01-13 01-16 01-23 01-30 02-06 02-13 02-20 02-27"),
            ("13 * 5#2", "01-09 01-13 02-13"),
            ("1 * l5", "01-01 01-30 02-01 02-27"),
            ("28 2 5#1", "02-06 02-28"),
            ("l * 1#1", "01-05 01-31 02-02 02-28"),
            ("15w * 1#1", "01-05 01-15 02-02 02-16"),
            ("31w * l0", "01-25 01-30 02-22 02-27"),
            ("15w * sun", "01-04 01-11 01-15 01-18 01-25 02-01 02-08 02-15 02-16 02-22"),
            ("l * fri", "01-02 01-09 01-16 01-23 01-30 01-31 02-06 02-13 02-20 02-27 02-28"),
            ("30 2 5", "02-06 02-13 02-20 02-27"),
            ("30 2 5#1", "02-06"),
            ("1-3 * 7-7", "01-01 01-02 01-03 01-04 01-11 01-18 01-25 02-01 02-02 02-03 02-08"),
        ],
    )
    def test_either_one_fits(self, dates: str, expected: str) -> None:
        expected_days = expected.split()
        assert found(f"0 0 {dates}", "%m-%d", "2026-03-01")[: len(expected_days)] == expected_days

    @pytest.mark.parametrize(
        ("dates", "expected"),
        [
            ("? * 5#2", "01-09 02-13"),
            ("13 * ?", "01-13 02-13"),
            ("l * *", "01-31 02-28"),
            ("30,l * *", "01-30 01-31 02-28"),
            ("15w,1 * *", "01-01 01-15 02-01 02-16"),
            ("* * fri#2,mon", "01-05 01-09 01-12 01-19 01-26 02-02 02-09 02-13 02-16 02-23"),
            ("* * l5,1#1", "01-05 01-30 02-02 02-27"),
            ("* * mon-tue#1", "01-05 01-06 02-02 02-03"),
            ("* * sun#5", ""),
            ("* * 7#1", "01-04 02-01"),
            ("* * l7", "01-25 02-22"),
            ("*,5 * 5#2", "01-09 02-13"),
            ("13 * fri,*", "01-13 02-13"),
            ("13 * */1", "01-13 02-13"),
            ("*/1 * 5#2", "01-09 02-13"),
            ("5,*/01 * 5#2", "01-09 02-13"),
        ],
    )
    def test_one_of_them_alone(self, dates: str, expected: str) -> None:
        assert found(f"0 0 {dates}", "%m-%d", "2026-03-01") == expected.split()

    def test_each_way_at_each_of_its_times(self) -> None:
        assert found("30 8-9 13 * 5#2 */30", "%d %H:%M:%S", "2026-01-14") == [
            *("09 08:30:00", "09 08:30:30", "09 09:30:00", "09 09:30:30"),
            *("13 08:30:00", "13 08:30:30", "13 09:30:00", "13 09:30:30"),
        ]

    def test_a_date_that_fits_in_two_ways_counts_once(self) -> None:
        cron = parse_cron("0 0 13 * 5#2", None)
        friday = int(datetime(2026, 2, 13, tzinfo=UTC).timestamp())  # the 13th as well
        assert cron.latest(friday - 86400, friday + 86400, 10) == [friday]


class TestRefused:
    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("60 * * * *", "minute '60': from 0 to 59"),
            ("* 24 * * *", "hour '24': from 0 to 23"),
            ("* * 0 * *", "day '0': from 1 to 31"),
            ("* * 0-5 * *", "day '0-5': from 1 to 31"),
            ("* * 32w * *", "day '32': from 1 to 31"),
            ("* * * 0 *", "month '0': from 1 to 12, or jan to dec"),
            ("* * * l *", "month 'l': from 1 to 12, or jan to dec"),
            ("* * * mon *", "month 'mon': from 1 to 12, or jan to dec"),
            ("* * * * 8", "day of the week '8': from 0 to 6, or sun to sat"),
            ("* * * * jan", "day of the week 'jan': from 0 to 6, or sun to sat"),
            ("* * * * l", "day of the week 'l': from 0 to 6, or sun to sat"),
            ("* * * * l8", "day of the week '8': from 0 to 6, or sun to sat"),
            ("* * * * fri#6", "day of the week 'fri#6': from 0 to 6, or sun to sat"),
            ("* * * * * 60", "second '60': from 0 to 59"),
            ("*/0 * * * *", "minute '*/0': a step is 1 to 60"),
            ("*/90 * * * *", "minute '*/90': a step is 1 to 60"),
        ],
    )
    def test_what_is_wrong_is_named(self, expression: str, reason: str) -> None:
        assert f"is not allowed ({reason}" in refusal(expression)

    @pytest.mark.parametrize(
        "field",
        [
            *(
                "",
                ",",
                "1,",
                ",1",
                "1,,2",
                "-",
                "-5",
                "5-",
                "1-2-3",
                "/",
                "/5",
                "5/",
                "1/2/3",
                "5-/2",
            ),
            *("*-5", "5-*", "**", "*5", "+5", "5.0", "1_0", "0x5", "1e1", "'5'", "#", "1#", "#1"),
            *(
                "h",
                "H",
                "r",
                "h/5",
                "h(1-5)",
                "r(1-5)/2",
                "1,h",
                "?",
                "?/2",
                "1,?",
                "w",
                "w5",
                "5w",
            ),
            *(
                "l",
                "L",
                "l5",
                "1-l",
                "l-5",
                "mon",
                "jan",
                "*/-5",
                "*/5.0",
                "*/*",
                "5/l",
                "%",
                "\\d",
            ),
            *("9" * 30, "*/" + "9" * 30, "1-" + "9" * 30, "9" * 5000, "1" * 4301, "00001"),
            *("\u0665", "\uff15", "\u00b2", "*/\u0665", "\u0661-\u0665", "5\u20137", "\u2217"),
            *("5\x00", "\x1b[1m", "é"),
        ],
    )
    def test_no_field_of_minutes_is(self, field: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^cron expression .* is not allowed") as told:
            parse_cron(f"{field} * * * *", None)
        assert len(str(told.value)) < 400

    @pytest.mark.parametrize(
        "dates",
        [
            *("31 2 *", "30 2 *", "31 4,6,9,11 *", "30-31 feb *", "31 feb-feb ?", "31-31 6 *"),
        ],
    )
    def test_what_never_happens(self, dates: str) -> None:
        assert "(its months have no such day: it never happens)" in refusal(f"0 0 {dates}")

    @pytest.mark.parametrize(
        "dates",
        [
            *(
                "? ? *",
                "?,1 * *",
                "1 * ?,1",
                "5-l5 * *",
                "l-5 * *",
                "l/2 * *",
                "lw * *",
                "15w/2 * *",
            ),
            *("1w-5w * *", "ww * *", "* * 5l", "* * l5/2", "* * l5-6", "* * mon#", "* * #2"),
            *("* * *#2", "* * mon/2#2", "* * mon#0", "* * mon#1#2", "* * monday", "* * mo"),
            *("*,32 * *", "99,* * *", "* * *,fri#6", "* * x,*"),
            *("* january *", "* * l55", "* * l-1"),
        ],
    )
    def test_nor_are_these_days(self, dates: str) -> None:
        assert "is not allowed (" in refusal(f"0 0 {dates}")

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 100])
    def test_another_number_of_fields(self, count: int) -> None:
        assert f"(it has {count} field" in refusal(" ".join("*" * count))

    @pytest.mark.parametrize("text", ["@reboot", "@", "@every 5m", "@daily *", "@secondly"])
    def test_another_alias(self, text: str) -> None:
        assert "is not allowed (it has" in refusal(text)

    def test_a_long_part_is_cut(self) -> None:
        assert len(refusal("1-" * 10_000 + " * * * *")) < 400


class TestAllowed:
    @pytest.mark.parametrize(
        ("alias", "expression"),
        [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@weekly", "0 0 * * sun"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            ("@ANNUALLY ", "0 0 1 1 *"),
            ("\t*/5\n0-1  * *\r\n*  ", "*/5 0-1 * * *"),
            ("0 0 * JAN SUN", "0 0 * 1 0"),
        ],
    )
    def test_these_mean_the_same(self, alias: str, expression: str) -> None:
        one, other = (parse_cron(text, None) for text in (alias, expression))
        assert list(islice(one.iterate(AFTER), 20)) == list(islice(other.iterate(AFTER), 20))

    def test_a_leap_day_comes_only_in_leap_years(self) -> None:
        assert numbers(found("0 0 29 2 *", "%Y", "2050-01-01")) == list(range(2028, 2050, 4))

    def test_nothing_is_missed_where_a_century_has_no_leap_day(self) -> None:
        after = int(datetime(2096, 3, 1, tzinfo=UTC).timestamp())
        for expression in ("0 0 29 2 *", "0 0 * 2 fri#5", "0 0 29-29 feb-feb ?"):
            year = datetime.fromtimestamp(parse_cron(expression, None).next(after), UTC).year
            assert year == 2104

    def test_the_expression_is_kept_as_it_was_written(self) -> None:
        assert parse_cron(" 0  9-9 * * Mon ", None).expression == "0 9-9 * * Mon"


FIRST, LAST = date(2027, 11, 1), date(2028, 11, 30)
START = int(datetime(2027, 11, 1, tzinfo=UTC).timestamp())
DAYS = [FIRST + timedelta(days=count) for count in range((LAST - FIRST).days + 1)]
LATER = [date(2024, 1, 1) + timedelta(days=count) for count in range(41 * 366)]


@pytest.mark.slow
@given(DATES)
@settings(max_examples=60, deadline=None)
def test_dates_are_what_a_slow_model_says(dates: Dates) -> None:
    expected = [day for day in DAYS if dates.fits(day)]
    try:
        cron = parse_cron(f"0 0 {dates.text}", None)
    except ConfigurationError:
        assert not any(dates.fits(day) for day in LATER)
        return
    instants = list(islice(cron.iterate(START - 1), len(expected) + 1))
    days = [datetime.fromtimestamp(instant, UTC).date() for instant in instants]
    assert days[:-1] == expected
    assert days[-1] > LAST
