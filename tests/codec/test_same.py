"""What is as good as the value that was sent, and what is refused."""

import dataclasses
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import (
    Annotated,
    Any,
)

import msgspec
import pydantic
import pytest

from ltq._codec.codec import Codec
from tests.codec.samples import (
    CODECS,
    KEY,
    LESS_COMPARABLE,
    NOON,
    PARIS,
    Box,
    Incomparable,
    LessComparable,
    Level,
    Options,
    Pair,
    Repo,
    Secret,
    arrive,
    refusal,
    taking,
)


class TestAsGood:
    def test_values_of_one_kind_may_stand_for_another(self, codec: Codec) -> None:
        assert arrive(taking(float, codec), 1) == 1.0
        assert arrive(taking(Sequence[int], codec), (1, 2)) == [1, 2]
        assert arrive(taking(Sequence[int], codec), range(3)) == [0, 1, 2]
        assert arrive(taking(Mapping[str, int], codec), MappingProxyType({"a": 1})) == {"a": 1}
        assert arrive(taking(int, codec), Level.LOW) == 1
        assert arrive(taking(bytes, codec), bytearray(b"x")) == b"x"

    def test_a_subclass_arrives_as_the_annotated_class(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Fork(Repo):
            origin: str = ""

        assert arrive(taking(Repo, codec), Fork("a", 1, "b")) == Repo("a", 1)
        assert arrive(taking(tuple[int, date], codec), Pair(1, date.min)) == (1, date.min)
        assert arrive(taking(Incomparable, codec), LessComparable("a")).name == "a"

    def test_a_class_that_does_not_compare_may_travel(self, codec: Codec) -> None:
        assert arrive(taking(Incomparable, codec), Incomparable("a")).name == "a"

    def test_a_class_whose_comparison_fails_may_travel(self, codec: Codec) -> None:
        class Moody(msgspec.Struct, eq=False):
            name: str

            def __eq__(self, other: object) -> bool:
                raise RuntimeError("do not compare me")

            __hash__ = None  # type: ignore[assignment]

        assert arrive(taking(Moody, codec), Moody("a")).name == "a"

    @pytest.mark.parametrize("month", [3, 10])
    @pytest.mark.parametrize("fold", [0, 1])
    def test_a_moment_when_clocks_are_changed_may_travel(
        self, codec: Codec, month: int, fold: int
    ) -> None:
        moment = datetime(2024, month, 31 if month == 3 else 27, 2, 30, tzinfo=PARIS, fold=fold)
        for hint, value in [(datetime, moment), (str | datetime, moment)]:
            got = arrive(taking(hint, codec), value)
            assert got.astimezone(UTC) == value.astimezone(UTC)
        assert arrive(taking(list[datetime], codec), [moment])[0] - moment == timedelta(0)

    def test_a_moment_whose_offset_has_seconds_is_refused(self, codec: Codec) -> None:
        message = refusal(taking(datetime, codec), datetime(1800, 1, 1, tzinfo=PARIS))
        assert "`datetime.datetime` would arrive changed" in message
        assert refusal(taking(datetime, codec), datetime.min.replace(tzinfo=PARIS))

    def test_nan_travels_where_the_format_can_carry_it(self) -> None:
        for codec in (CODECS["msgpack"], CODECS["object"]):
            assert math.isnan(arrive(taking(float, codec), math.nan))
            assert math.isnan(arrive(taking(Any, codec), [math.inf, math.nan])[1])


class TestChanged:
    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (str, KEY, "`uuid.UUID` would arrive as `str`"),
            (datetime, NOON.isoformat(), "`str` would arrive as `datetime.datetime`"),
            (Repo, {"name": "x"}, "`dict` would arrive as `tests.codec.samples.Repo`"),
            (Any, NOON, "`datetime.datetime` would arrive as `str`"),
            (Any, Repo("x"), "`tests.codec.samples.Repo` would arrive as `dict`"),
            (Any, {1, 2}, "`set` would arrive as `list`"),
            (Any, [1, (2, 3)], "`tuple` would arrive as `list` - at `value[1]`"),
            (object, Decimal(1), "`decimal.Decimal` would arrive as `str`"),
            (
                dict[str, Any],
                {"a": [1, {"b": KEY}]},
                "`uuid.UUID` would arrive as `str` - at `value.a[1].b`",
            ),
            (
                Incomparable,
                Incomparable("a", KEY),
                "`uuid.UUID` would arrive as `str` - at `value.note`",
            ),
            (
                Annotated[Incomparable, "x"],
                LESS_COMPARABLE,
                "would arrive as `str` - at `value.note`",
            ),
            (
                tuple[int, str],
                Pair(1, date.min),
                "`datetime.date` would arrive as `str` - at `value[1]`",
            ),
            (Options, {"depth": 1, "x": 2}, "`int` would not arrive - at `value.x`"),
            (list[Any], iter(()), "cannot encode `tuple_iterator`"),
            (
                Secret,
                Secret(password=pydantic.SecretStr("x")),
                "`str` would arrive changed - at `value.password._secret_value`",
            ),
            # unions: a value that would come out as another arm
            (str | datetime, NOON.isoformat(), "`str` would arrive as `datetime.datetime`"),
            (str | uuid.UUID, str(KEY), "`str` would arrive as `uuid.UUID`"),
            (
                list[str | Decimal],
                ["a", "1.5"],
                "`str` would arrive as `decimal.Decimal` - at `value[1]`",
            ),
            (set[int] | list[int], [1, 2], "`list` would arrive as `set`"),
            (tuple[int, ...] | list[int], [1], "`list` would arrive as `tuple`"),
            (
                Repo | dict[str, Any],
                {"name": "a", "stars": 1},
                "`dict` would arrive as `tests.codec.samples.Repo`",
            ),
        ],
    )
    def test_a_value_that_would_arrive_as_another_is_refused(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        message = refusal(taking(hint, codec), value)
        assert message.startswith("github:fetch: argument 'value': ")
        assert text in message

    def test_a_text_that_would_arrive_as_bytes_is_refused(self) -> None:
        assert "`str` would arrive as `bytes`" in refusal(taking(bytes), "test")
        assert "`str` would arrive as `bytes`" in refusal(taking(bytes | str), "test")
        assert arrive(taking(bytes | str, CODECS["msgpack"]), "test") == "test"

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
    @pytest.mark.parametrize("hint", [float, Any, float | None, int | None, Repo | None], ids=str)
    def test_json_does_not_turn_nan_into_none(self, hint: Any, value: float) -> None:
        message = refusal(taking(hint), value)
        assert message == f"github:fetch: argument 'value': `{value}` would arrive as `None`"

    def test_json_does_not_turn_nan_inside_a_container_into_none(self) -> None:
        text = "argument 'value': `nan` would arrive as `None` - at `value.a[0]`"
        for hint in (Any, dict[str, list[float]], dict[str, list[float | None]]):
            assert text in refusal(taking(hint), {"a": [math.nan]})
        assert "`nan` would" in refusal(taking(Box[float | None]), Box(math.nan))

    def test_a_class_that_changes_itself_on_the_way_is_refused(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Growing:
            name: str

            def __post_init__(self) -> None:
                self.name += "!"

        message = refusal(taking(Growing, codec), Growing("a"))
        assert "`str` would arrive changed - at `value.name`" in message
