"""The options of tasks and of sends: what is taken, in which units, and how a wrong one is told."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.errors import ConfigurationError
from ltq.options import (
    MAX_COUNT,
    MAX_SECONDS,
    Priority,
    Rate,
    SendConfig,
    SendOptions,
    TaskConfig,
    TaskOptions,
    parse_send_options,
    parse_task_options,
    positive_int,
    rate,
    seconds,
)

Parse = Callable[[dict[str, object]], Any]

WHOLE = ([0, -1, 2**31, 1.0, 2.5, math.nan, math.inf, "3", None, True, False, [1]], "1 or more")
DURATIONS = [-1, -0.001, math.nan, math.inf, -math.inf, "30", None, True, [1], 2 * MAX_SECONDS]
DURATION = (
    [*DURATIONS, 0, 0.0, timedelta(0), timedelta(seconds=-1), timedelta.max],
    "a timedelta or seconds, more than 0, at most a century",
)
DURATION_OR_ZERO = (
    [*DURATIONS, timedelta(microseconds=-1), timedelta.max],
    "a timedelta or seconds, 0 or more, at most a century",
)
NAME = (["", " ", "a b", "ä", "a/b", "a\n", "{a}", "x" * 201, b"a", 5, None], "1 to 200 of")
PRIORITY = (["", "urgent", "High", 0, 1, None, True, Priority.LOW], '"high" or "normal" or "low"')
ON_FULL = (["drop", "Wait", "", 1, None, True], '"raise" or "wait"')
NO_TAGS = (["tenant:7", "", b"a", None, 5, {"a"}, {"a": 1}], "a tuple of texts, such as")
NO_TAG = ([("",), ["a b"], ("a", 5), ("x" * 65,), ("a\n",), ("ä",), (None,)], "is not 1 to 64 of")
RATES = [
    "",
    "10",
    "10/",
    "/s",
    "10/d",
    "0/s",
    "0.0/m",
    "-1/s",
    "1e3/s",
    "١/s",
    "10/s/s",
    "10 per s",
]
FLAG: tuple[list[Any], str] = ([None, 0, 1, "yes", "True"], "True or False")

WRONG_TASK_OPTIONS: dict[str, tuple[list[Any], str]] = {
    "queue": NAME,
    "max_tries": WHOLE,
    "backoff": DURATION_OR_ZERO,
    "retry_on": (
        [None, (), "OSError", 5, [OSError], (OSError, 5), (BaseException, int), int],
        "an exception type, a tuple of them, or a predicate",
    ),
    "max_age": DURATION,
    "max_rate": ([*RATES, "1000001/s", "inf/s", "nan/s", 10, None, b"10/s"], 'a text like "10/s"'),
    "timeout": DURATION,
    "result_ttl": DURATION_OR_ZERO,
    "priority": PRIORITY,
    "max_running": WHOLE,
    "max_pending": WHOLE,
    "max_deliveries": WHOLE,
    "on_full": ON_FULL,
    "full_timeout": DURATION_OR_ZERO,
    "unique_for": DURATION,
    "keep_body": FLAG,
}
WRONG_SEND_OPTIONS: dict[str, tuple[list[Any], str]] = {
    "id": NAME,
    "delay": DURATION_OR_ZERO,
    "eta": (
        [None, 5, 5.0, "2030-01-01", datetime(2030, 1, 1), datetime(2030, 1, 1).date()],
        "a datetime with a time zone",
    ),
    "priority": PRIORITY,
    "timeout": DURATION,
    "max_tries": WHOLE,
    "result_ttl": DURATION_OR_ZERO,
    "on_full": ON_FULL,
    "full_timeout": DURATION_OR_ZERO,
    "unique_for": DURATION,
    "keep_body": FLAG,
}


def wrong_values(table: dict[str, tuple[list[Any], str]]) -> list[Any]:
    return [
        pytest.param(option, value, allowed, id=f"{option}={repr(value)[:30]}")
        for option, (values, allowed) in table.items()
        for value in values
    ]


class TestWrongOptions:
    @pytest.mark.parametrize(("option", "value", "allowed"), wrong_values(WRONG_TASK_OPTIONS))
    def test_a_wrong_task_option_is_named_with_its_value_and_what_is_allowed(
        self, option: str, value: object, allowed: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            parse_task_options({option: value})
        self.check(str(caught.value), option, value, allowed)

    @pytest.mark.parametrize(("option", "value", "allowed"), wrong_values(WRONG_SEND_OPTIONS))
    def test_a_wrong_send_option_is_named_with_its_value_and_what_is_allowed(
        self, option: str, value: object, allowed: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            parse_send_options({option: value})
        self.check(str(caught.value), option, value, allowed)

    @staticmethod
    def check(text: str, option: str, value: object, allowed: str) -> None:
        named = {"queue": "queue name ", "id": "task id "}.get(option, f"{option}=")
        assert text.startswith(named)
        shown = repr(value)
        assert f"{shown[:77]}..." in text if len(shown) > 80 else f"{shown} " in text
        assert allowed in text
        assert "\n" not in text
        assert len(text) < 250

    @pytest.mark.parametrize(
        ("parse", "kind", "options"),
        [(parse_task_options, "task", TaskConfig), (parse_send_options, "send", SendConfig)],
    )
    def test_an_unknown_one_is_named_with_all_that_are_allowed(
        self, parse: Parse, kind: str, options: type[Any]
    ) -> None:
        with pytest.raises(ConfigurationError, match=f"unknown {kind} option 'max_trys'") as caught:
            parse({"timeout": 5, "max_trys": 3})
        own = {"name" if kind == "task" else "connection"}
        allowed = ", ".join(sorted(own.union(options.__struct_fields__)))
        assert str(caught.value).endswith(f"allowed are {allowed}")

    @pytest.mark.parametrize("parse", [parse_task_options, parse_send_options])
    @pytest.mark.parametrize(
        ("value", "allowed"),
        [(value, text) for values, text in (NO_TAGS, NO_TAG) for value in values],
    )
    def test_so_are_wrong_tags(self, parse: Parse, value: object, allowed: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            parse({"tags": value})
        self.check(str(caught.value), "tags", value, allowed)

    @pytest.mark.parametrize("parse", [parse_task_options, parse_send_options])
    def test_too_many_tags_are_all_named(self, parse: Parse) -> None:
        tags = [f"t{number}" for number in range(17)]
        with pytest.raises(ConfigurationError, match="17 tags are not allowed") as caught:
            parse({"tags": tags})
        assert str(caught.value).endswith(": " + ", ".join(tags))
        assert parse({"tags": [*tags[1:], "t1"]}).tags == tuple(tags[1:])

    @pytest.mark.parametrize("option", ["delay", "eta", "id", "connection"])
    def test_a_send_option_is_no_task_option(self, option: str) -> None:
        with pytest.raises(ConfigurationError, match=f"unknown task option '{option}'"):
            parse_task_options({option: 5})

    def test_a_delay_excludes_a_time(self) -> None:
        with pytest.raises(ConfigurationError, match="delay and eta exclude each other"):
            parse_send_options({"delay": 5, "eta": datetime(2030, 1, 1, tzinfo=UTC)})

    def test_a_value_whose_repr_is_endless_is_cut(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            parse_task_options({"max_tries": "x" * 100_000})
        assert len(str(caught.value)) < 200


class TestTaskOptions:
    def test_none_given_leaves_all_open(self) -> None:
        assert parse_task_options({}) == TaskConfig()
        assert TaskConfig() == TaskConfig(priority=Priority.NORMAL, max_tries=None, timeout=None)

    def test_all_come_out_in_plain_units(self) -> None:
        options: TaskOptions = {
            "aliases": ["old", "older"],
            "queue": "github:all",
            "max_tries": 3,
            "backoff": timedelta(seconds=2),
            "retry_on": OSError,
            "max_age": timedelta(hours=1),
            "max_rate": "10/m",
            "timeout": timedelta(milliseconds=1500),
            "result_ttl": timedelta(days=1),
            "priority": "high",
            "max_pending": 100,
            "max_deliveries": 2,
        }
        assert parse_task_options(options) == TaskConfig(
            aliases=("old", "older"),
            queue="github:all",
            max_tries=3,
            backoff=2.0,
            retry_on=(OSError,),
            max_age=3600.0,
            max_rate=Rate(10.0, 60.0),
            timeout=1.5,
            result_ttl=86400.0,
            priority=Priority.HIGH,
            max_pending=100,
            max_deliveries=2,
        )

    def test_those_of_the_type_are_those_that_are_checked(self) -> None:
        assert set(get_type_hints(TaskOptions)) == {*TaskConfig.__struct_fields__, "name"}

    @pytest.mark.parametrize(
        ("value", "parsed"),
        [
            (ValueError, (ValueError,)),
            ((ValueError,), (ValueError,)),
            ((ValueError, OSError), (ValueError, OSError)),
            (Exception, (Exception,)),
        ],
    )
    def test_errors_to_retry_may_be_types(self, value: object, parsed: object) -> None:
        assert parse_task_options({"retry_on": value}).retry_on == parsed

    def test_errors_to_retry_may_be_told_by_a_predicate(self) -> None:
        def is_worth(error: Exception) -> bool:
            return bool(error.args)

        assert parse_task_options({"retry_on": is_worth}).retry_on is is_worth

    @pytest.mark.parametrize("pause", [float("nan"), -1.0, float("inf"), "1", None])
    def test_a_backoff_that_gives_no_duration_is_refused(self, pause: object) -> None:
        with pytest.raises(ConfigurationError, match=r"backoff\(1\)=.* seconds, 0 or more"):
            parse_task_options({"backoff": lambda failed: pause})

    def test_a_backoff_of_nothing_retries_at_once(self) -> None:
        assert parse_task_options({"backoff": 0}).backoff == 0

    def test_a_backoff_that_raises_is_refused(self) -> None:
        def backoff(failed: int) -> float:
            raise KeyError(failed)

        with pytest.raises(ConfigurationError, match=r"called with 1, .* raised KeyError\(1\)"):
            parse_task_options({"backoff": backoff})

    def test_a_backoff_may_be_a_function(self) -> None:
        def backoff(failed: int) -> float:
            return 2.0 * failed

        assert parse_task_options({"backoff": backoff}).backoff is backoff


class TestSendOptions:
    def test_none_given_leaves_all_to_the_task(self) -> None:
        assert parse_send_options({}) == SendConfig()

    def test_all_come_out_in_plain_units(self) -> None:
        options: SendOptions = {
            "id": "order-5",
            "delay": timedelta(minutes=1),
            "priority": "low",
            "timeout": 5,
            "max_tries": 1,
            "result_ttl": 0,
        }
        assert parse_send_options(options) == SendConfig(
            id="order-5",
            delay=60.0,
            priority=Priority.LOW,
            timeout=5.0,
            max_tries=1,
            result_ttl=0.0,
        )

    def test_those_of_the_type_are_those_that_are_checked(self) -> None:
        fields = {*SendConfig.__struct_fields__, "connection"}  # which does not travel
        assert set(get_type_hints(SendOptions)) == fields

    @pytest.mark.parametrize("hours", [-12, 0, 5.5])
    def test_a_time_is_the_same_moment_in_any_zone(self, hours: float) -> None:
        moment = datetime(2030, 1, 1, 12, tzinfo=UTC)
        zone = timezone(timedelta(hours=hours))
        assert parse_send_options({"eta": moment.astimezone(zone)}).eta == moment.timestamp()

    def test_a_time_in_the_past_is_one(self) -> None:
        assert parse_send_options({"eta": datetime(1970, 1, 1, tzinfo=UTC)}).eta == 0.0


class TestSeconds:
    @pytest.mark.parametrize("value", [1, 1.0, timedelta(seconds=1)])
    def test_a_number_or_a_timedelta_may_be_given(self, value: object) -> None:
        assert seconds("timeout", value) == 1.0

    def test_zero_is_taken_where_it_means_something(self) -> None:
        assert seconds("delay", timedelta(0), zero=True) == 0.0
        assert seconds("delay", 0, zero=True) == 0.0

    @pytest.mark.parametrize("value", [Decimal(1), Fraction(1), 1j])
    def test_other_numbers_are_refused(self, value: object) -> None:
        with pytest.raises(ConfigurationError):
            seconds("timeout", value)

    @given(st.one_of(st.integers(), st.floats(), st.timedeltas()))
    def test_what_is_taken_is_finite_and_in_bounds(self, value: object) -> None:
        try:
            number = seconds("timeout", value)
        except ConfigurationError:
            return
        assert isinstance(number, float)
        assert 0 < number <= MAX_SECONDS

    def test_a_number_no_float_can_hold_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            seconds("timeout", 10**400)


class TestPositiveInt:
    @pytest.mark.parametrize("value", [1, 2, MAX_COUNT])
    def test_a_whole_number_is_taken(self, value: int) -> None:
        assert positive_int("max_tries", value) == value


class TestRate:
    @pytest.mark.parametrize(
        ("text", "interval"),
        [
            ("10/s", 0.1),
            ("1/m", 60.0),
            ("60/M", 1.0),
            (" 3600 / h ", 1.0),
            ("0.5/s", 2.0),
            ("1000000/s", 1e-6),
        ],
    )
    def test_it_says_how_far_apart_starts_are(self, text: str, interval: float) -> None:
        assert rate("max_rate", text).interval == pytest.approx(interval)

    @pytest.mark.parametrize(
        ("text", "burst"), [("1/h", 1), ("10/s", 1), ("19/s", 1), ("20/s", 2), ("1000/s", 100)]
    )
    def test_a_burst_is_what_a_tenth_of_a_second_allows(self, text: str, burst: int) -> None:
        assert rate("max_rate", text).burst == burst

    @pytest.mark.parametrize("text", ["0.0000001/h", pytest.param(f"0.{'0' * 320}1/h", id="tiny")])
    def test_less_than_one_start_in_a_century_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError):
            rate("max_rate", text)
