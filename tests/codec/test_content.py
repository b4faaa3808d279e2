"""What objects have besides what they show: it arrives, or the value is refused by name."""

import copy
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pydantic
import pytest

from ltq._codec.codec import Codec
from ltq._codec.same import same
from ltq.errors import ResultError
from tests.codec import zoo
from tests.codec.samples import arrive, refusal, taking
from tests.codec.zoo import content


def _token(order: zoo.Order) -> zoo.Order:
    order._token = "t"
    return order


def _more(value: Any, **attributes: Any) -> Any:
    for name, part in attributes.items():
        setattr(value, name, part)
    return value


WHEN = datetime(2024, 1, 1, tzinfo=UTC)
ARRIVING: list[tuple[Any, Any]] = [
    (zoo.Order, zoo.Order(id=1)),
    (zoo.Item, zoo.Item(price=1.5, more="x", list=[1, {"a": None}])),  # type: ignore[call-arg]
    (zoo.Alias, zoo.Alias(number=1, inText="x", b="y")),  # type: ignore[call-arg]
    (list[zoo.Alias], [zoo.Alias(number=1, inText="x")]),  # type: ignore[call-arg]
    (zoo.Short, zoo.Short(text="abc", day=WHEN)),
    (zoo.Rounded, zoo.Rounded(value=1.5)),
    (zoo.Area, zoo.Area(width=3)),
    (zoo.Owner, zoo.Owner(pet=zoo.Dog(tags=frozenset("ab")))),
    (zoo.Ids, zoo.Ids([1, 2])),
    (zoo.Page[zoo.Order], zoo.Page[zoo.Order](items=[zoo.Order(id=1)])),
    (zoo.Checked, zoo.Checked("a", "b")),
    (zoo.Hidden, zoo.Hidden("a", "b", -0.0)),
    (zoo.Yes, zoo.Yes("a", [1])),
    (zoo.Made, _more(zoo.Made("a"), size=3)),
    (zoo.Attrs, zoo.Attrs("a", "b")),
    (zoo.Converted, _more(zoo.Converted("5"), made=9)),
    (zoo.Struct, zoo.Struct("a", [1], "b")),
    (zoo.Row, zoo.Row(1, WHEN)),
    (zoo.Keys, {"name": "a"}),
    (zoo.Odd, zoo.Odd.NOTHING),
    (zoo.Rights, zoo.Rights.READ | zoo.Rights.WRITE),
]


@pytest.mark.parametrize(("hint", "value"), ARRIVING)
def test_what_is_whole_arrives(codec: Codec, hint: Any, value: Any) -> None:
    assert content(arrive(taking(hint, codec), value)) == content(value)


REFUSED: list[tuple[Any, Any, str]] = [
    (zoo.Order, zoo.Order(id=1, card="4711"), "`str` would arrive changed - at `value.card`"),
    (zoo.Order, _token(zoo.Order(id=1)), "`str` would arrive changed - at `value._token`"),
    (
        dict[str, zoo.Page[zoo.Order]],
        {"a b": zoo.Page[zoo.Order](items=[zoo.Order(id=1), zoo.Order(id=2, card="1")])},
        "`str` would arrive changed - at `value['a b'].items[1].card`",
    ),
    (zoo.Item, zoo.Item(more=WHEN), "`datetime.datetime` would arrive as `str` - at `value.more`"),  # type: ignore[call-arg]
    (zoo.Item, zoo.Item(anything=UUID(int=1)), "`uuid.UUID` would arrive as `str`"),
    (zoo.Short, zoo.Short(text="abcd", day=WHEN), "would arrive changed - at `value.text`"),
    (zoo.Rounded, zoo.Rounded(value=1.55), "`float` would arrive changed - at `value.value`"),
    (zoo.Whole_, zoo.Whole_(value=12), "`int` would arrive changed - at `value.value`"),
    (zoo.Yes, zoo.Yes("a", (1,)), "`tuple` would arrive as `list` - at `value.value`"),
    (zoo.Made, _more(zoo.Made("a"), more=1), "`int` would not arrive - at `value.more`"),
    (zoo.Made, _more(zoo.Made("a"), upper="b"), "`str` would arrive changed - at `value.upper`"),
    (zoo.Growing, zoo.Growing("a"), "`str` would arrive changed - at `value.name`"),
    (zoo.Attrs, zoo.Attrs("a", secret=1), "`int` would arrive changed - at `value._secret`"),
    (zoo.Loose, _more(zoo.Loose("a"), more=1), "`int` would not arrive - at `value.more`"),
    (zoo.Keys, {"more": 1}, "`int` would not arrive - at `value.more`"),
    (zoo.Plain, zoo.Plain("a", UUID(int=1)), "Expected `int`, got `uuid.UUID` - at `value.count`"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("hint", "value", "text"), REFUSED)
def test_what_would_lose_something_is_refused_by_name(
    codec: Codec, hint: Any, value: Any, text: str
) -> None:
    assert text in refusal(taking(hint, codec), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (zoo.Order(id=1, card="4711"), "`str` would arrive changed - at `result.card`"),
        (zoo.Growing("a"), "`str` would arrive changed - at `result.name`"),
    ],
)
def test_a_result_that_would_lose_something_fails_by_name(
    codec: Codec, value: Any, text: str
) -> None:
    with pytest.raises(ResultError) as caught:
        taking(type(value), codec).encode_result(value)
    assert text in str(caught.value)


class Card(pydantic.BaseModel):
    number: str = pydantic.Field(exclude=True)


class Payment(pydantic.BaseModel):
    card: Card


def test_the_message_of_pydantic_comes_after_that_of_ltq(codec: Codec) -> None:
    message = refusal(taking(list[Payment], codec), [Payment(card=Card(number="4711"))])
    assert message == (
        f"github:fetch: argument 'value': `{Card.__module__}.Card` cannot be read back: "
        "number: Field required - at `value[0].card`"
    )
    assert "4711" not in message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, zoo.Level.LOW),
        ("fast", zoo.Mode.FAST),
        (0.0, -0.0),
        ({1}, frozenset({1})),
        ([1], (1,)),
        ({1: "a"}, {True: "a"}),
        ({"a": 1}, {"a": True}),
        ([1, "a"], [True, "a"]),
        ({1, "a"}, {True, "a"}),
        (zoo.Yes("a"), zoo.Yes("b")),
        (zoo.Plain("a"), zoo.Special("a")),
        (PurePosixPath("a"), PurePosixPath("b")),
        (zoo.content, zoo.Plain),
        (zoo.SafeText("a"), zoo.SafeText("b")),
        (object(), 1),
    ],
)
def test_values_of_other_content_or_type_are_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)
    for value in (one, other):
        assert same(value, copy.deepcopy(value))
