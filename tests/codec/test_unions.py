"""Types that msgspec refuses: unions whose arms look alike, enums of mixed values."""

import dataclasses
import typing
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import (
    Annotated,
    Any,
)

import pytest

from ltq._codec.codec import Codec
from ltq._codec.hints import arm_of
from tests.codec.samples import (
    CODECS,
    KEY,
    NOON,
    NOON_UTC,
    Box,
    Card,
    Color,
    Json,
    Level,
    Mixed,
    Mode,
    Repo,
    User,
    UserId,
    When,
    arrive,
    make,
    refusal,
    taking,
)

UNIONS: list[tuple[Any, Any]] = [
    (str | datetime, NOON_UTC),
    (str | datetime, "not a date"),
    (typing.Union[str, datetime, None], None),  # noqa: UP007  the older spelling
    (date | datetime, date(2024, 1, 1)),
    (date | datetime, NOON),
    (bytes | str, b"\xff"),
    (bytes | str, "héllo"),
    (str | uuid.UUID, KEY),
    (str | Decimal, Decimal("1.10")),
    (str | timedelta, timedelta(1)),
    (int | Level, Level.LOW),
    (int | Level, 17),
    (str | Mode, Mode.FAST),
    (str | Color, "green"),
    (int | Mixed, Mixed.HALF),
    (set[int] | list[int], {30, 1, 17}),
    (set[int] | list[int], [1, 1]),
    (Repo | User, Repo("a")),
    (Repo | User, User("a", date(2024, 1, 1))),
    (Repo | dict[str, int], {"a": 1}),
    (Repo | dict[str, int], Repo("a", 1)),
    (Repo | Card | None, Card(1)),
    (Repo | int | bool, True),
    (int | float | datetime | str, 1),
    (int | float | datetime | str, 1.0),
    (list[Repo | User], [Repo("a"), User("b", date(2024, 1, 1))]),
    (dict[str, str | datetime], {"a": NOON, "b": "x"}),
    (tuple[Repo | User, ...], (Repo("a"),)),
    (list[Repo | User] | None, [Repo("a")]),
    (list[dict[str, Repo | User]], [{"a": Repo("a")}]),
    (Box[Repo | User], Box(User("a", date(2024, 1, 1)))),
    (Annotated[str | datetime, "a note"], NOON),
    (Annotated[str, "x"] | datetime, NOON),
    (When, NOON),
    (UserId | Level, Level.LOW),
    (Json, {"a": [1, {"b": None}]}),
]


class TestUnions:
    @pytest.mark.parametrize(("hint", "value"), UNIONS)
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        got = arrive(taking(hint, codec), value)
        assert got == value
        assert type(got) is type(value)

    def test_keys_may_be_of_a_union(self) -> None:
        value: dict[Any, int] = {KEY: 1, "x": 2}
        for codec in CODECS.values():
            assert arrive(taking(dict[uuid.UUID | str, int], codec), value) == value

    def test_data_of_another_version_goes_to_the_first_arm_that_fits(self) -> None:
        body = b'[[{"name": "a"}], {}]'  # sent before Repo had `stars`
        assert taking(User | Repo).decode_call(body) == ((Repo("a"),), {})

    def test_the_choice_among_arms_does_not_depend_on_the_order_of_data(self) -> None:
        body = b'[[{"stars": 1, "name": "a"}, [3, 1, 2]], {}]'

        def fetch(repo: Repo | dict[str, Any], ids: set[int] | list[int]) -> None: ...

        assert make(fetch).decode_call(body) == ((Repo("a", 1), {1, 2, 3}), {})

    def test_arms_that_look_alike_are_told_apart_when_sent(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Twin:
            name: str
            stars: int = 0

        message = refusal(taking(Repo | Twin, codec), Twin("a"))
        assert "Twin` would arrive as `tests.codec.samples.Repo`" in message


def test_a_value_may_belong_to_a_union_within_a_union() -> None:
    inner = Annotated[int | str, "of one or the other"]
    assert arm_of((inner, bytes), 5) is int
    assert arm_of((inner, bytes), bytearray(b"x")) is bytes
    assert arm_of((inner, bytes), 5.0) is Any
