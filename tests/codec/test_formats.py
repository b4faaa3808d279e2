"""Values of every type arrive as they were, in every wire format."""

import json
import typing
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
)

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq._codec.codec import Codec
from ltq.errors import (
    InvalidArgumentsError,
)
from tests.codec.samples import (
    ADA,
    CODECS,
    KEY,
    NOON,
    NOON_INDIA,
    NOON_UTC,
    Box,
    Card,
    Cash,
    Color,
    Company,
    Level,
    Mixed,
    Mode,
    Options,
    Pair,
    Person,
    PlainJson,
    Repo,
    Tree,
    User,
    UserId,
    arrive,
    make,
    refusal,
    taking,
    travel,
)

VALUES: list[tuple[Any, Any]] = [
    (int, 2**63),
    (int, -(2**63)),
    (float, 1.5),
    (float, -0.0),
    (bool, True),
    (str, "naïve 🐍\x00\n"),
    (None, None),
    (bytes, b"\x00\xff"),
    (datetime, NOON),
    (datetime, NOON_UTC),
    (datetime, NOON_INDIA),
    (date, date(2024, 2, 29)),
    (time, time(1, 2, 3, 4)),
    (timedelta, timedelta(days=-3, microseconds=7)),
    (uuid.UUID, KEY),
    (Decimal, Decimal("0.10")),
    (Color, Color.BLUE),
    (Level, Level.HIGH),
    (Mode, Mode.FAST),
    *((Mixed, member) for member in Mixed),
    (Mixed | None, Mixed.HALF),
    (list[int], [1, 2]),
    (set[str], {"a", "b"}),
    (frozenset[int], frozenset({1, 2})),
    (tuple[int, str], (1, "a")),
    (tuple[date, ...], (date(2024, 1, 1),)),
    (dict[str, int], {"a": 1}),
    (dict[int, str], {1: "a", -2: "b"}),
    (dict[uuid.UUID, int], {KEY: 1}),
    (dict[Color, int], {Color.RED: 1}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[date, list[set[int]]], {date(2024, 1, 1): [{1}]}),
    (Sequence[int], [1, 2]),
    (Iterable[int], [1, 2]),
    (Mapping[str, int], {"a": 1}),
    (Repo, Repo("a/b", 3)),
    (list[Repo], [Repo("a/b", 3)]),
    (Box[datetime], Box(NOON)),
    (Box[Repo | None], Box(Repo("x"))),
    (Tree, Tree(1, [Tree(2, [])])),
    (Card, Card(7)),
    (Card | Cash, Cash(Decimal("1.50"))),
    (Pair, Pair(1, date(2024, 1, 1))),
    (Options, {"since": NOON}),
    (Literal["a", 1], 1),
    (datetime | None, NOON),
    (datetime | None, None),
    (typing.Optional[int], 5),  # noqa: UP045  the older spelling
    (int | str | None, "x"),
    (int | uuid.UUID, KEY),
    (UserId, UserId(5)),
    (Annotated[int, msgspec.Meta(ge=0)], 5),
    (Annotated[list[Color], "a note"], [Color.RED]),
    (Any, {"a": [1, None, 2.5, "x", {"b": True}]}),
    (object, [1, "a"]),
    (Any, None),
    (Person, ADA),
    (Person | None, ADA),
    (Person | None, None),
    (list[Person], [ADA]),
    (dict[str, Person | None], {"a": ADA, "b": None}),
    (Company, Company(title="x", founded=NOON_UTC, staff=[ADA])),
    (Person | Company, Company(title="x", founded=NOON_UTC)),
    (Person | str, "Ada"),
    (Person | str, ADA),
    (int | list[Person], [ADA]),
]


class TestTypes:
    @pytest.mark.parametrize(("hint", "value"), VALUES)
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        got = arrive(taking(hint, codec), value)
        assert got == value
        assert type(got) is type(value)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("hint", "values"),
        [
            (float, st.floats(allow_nan=False, allow_infinity=False)),
            (str, st.text()),
            (bytes, st.binary()),
            (datetime, st.datetimes()),
            (datetime, st.datetimes(timezones=st.just(UTC))),
            (date, st.dates()),
            (time, st.times()),
            (timedelta, st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000))),
            (uuid.UUID, st.uuids()),
            (Decimal, st.decimals(allow_nan=False)),
            (set[int], st.sets(st.integers(-(2**63), 2**64 - 1))),
            (tuple[int, str | None], st.tuples(st.integers(0, 9), st.none() | st.text())),
            (dict[int, list[float]], st.dictionaries(st.integers(0, 99), st.just([0.5]))),
            (Repo, st.builds(Repo)),
            (User | Repo, st.builds(Repo) | st.builds(User, st.text(), st.dates())),
            (list[date | bool | int], st.lists(st.dates() | st.booleans() | st.integers(0, 9))),
        ],
    )
    def test_any_value_of_a_common_type_arrives_as_it_was(
        self, codec: Codec, hint: Any, values: st.SearchStrategy[Any]
    ) -> None:
        task = taking(hint, codec)

        @given(values)
        def check(value: Any) -> None:
            assert arrive(task, value) == value

        check()

    @pytest.mark.slow
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_json_values_without_annotation_arrive_or_are_refused(self, value: Any) -> None:
        task = taking(Any)
        if "nan" in repr(value) or "inf" in repr(value):
            try:
                assert repr(travel(task, value)) == repr(((value,), {}))
            except InvalidArgumentsError as error:
                text = str(error)
                assert "would arrive as `None`" in text
        else:
            assert travel(task, value) == ((value,), {})

    def test_decoded_values_are_of_the_annotated_types(self, codec: Codec) -> None:
        def fetch(when: datetime, ids: set[uuid.UUID], *, repo: Repo | None = None) -> None: ...

        (when, ids), kwargs = travel(make(fetch, codec), NOON, {KEY}, repo=Repo("x"))
        assert (type(when), type(ids), type(kwargs["repo"])) == (datetime, set, Repo)

    def test_a_class_with_the_methods_of_a_model_is_one(self, codec: Codec) -> None:
        class Celsius:
            def __init__(self, degrees: float) -> None:
                self.degrees = degrees

            def model_dump(self, **_: Any) -> Any:
                return {"degrees": self.degrees}

            @classmethod
            def model_validate_json(cls, data: bytes) -> "Celsius":
                degrees = json.loads(data)["degrees"]
                if degrees < -273.15:
                    raise ValueError("too cold")
                return cls(degrees)

        task = taking(Celsius, codec)
        assert arrive(task, Celsius(5.5)).degrees == 5.5
        assert "Celsius` cannot be read back: too cold" in refusal(task, Celsius(-300))

    def test_messagepack_carries_bytes_and_moments_without_annotation(self) -> None:
        value = {1: b"x", "at": NOON_UTC}
        assert arrive(taking(Any, CODECS["msgpack"]), value) == value


class TestSerializer:
    def test_a_serializer_sees_plain_values_only(self) -> None:
        seen: list[Any] = []

        class Spy(PlainJson):
            def dumps(self, value: Any, /) -> bytes:
                seen.append(value)
                return super().dumps(value)

        taking(dict[uuid.UUID, set[date]], Codec(Spy())).encode_call(
            ({KEY: {date(2024, 1, 1)}},), {}
        )
        assert seen == [(({str(KEY): ["2024-01-01"]},), {})]

    def test_a_serializer_may_sort_keys_and_give_texts(self) -> None:
        class Sorted(PlainJson):
            def dumps(self, value: Any, /) -> Any:
                return json.dumps(value, sort_keys=True)

        def fetch(**kwargs: Any) -> None: ...

        task = make(fetch, Codec(Sorted()))
        assert travel(task, b=Repo("x").name, a=[1]) == ((), {"a": [1], "b": "x"})
        assert "'b': `uuid.UUID` would arrive as `str`" in refusal(task, b=KEY, a=1)
