"""Values of subclasses travel as the annotated class, as arguments and as results."""

import collections
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest

from ltq._codec.codec import Codec
from ltq.errors import ResultError
from tests.codec import zoo
from tests.codec.samples import CODECS, KEY, NOON, arrive, make, refusal, taking
from tests.codec.zoo import content

MIDNIGHT = datetime(2024, 5, 17)
DAY = date(2024, 5, 17)
TEXT = zoo.SafeText("<b>")
HALF = zoo.Float64(0.5)
Name = NewType("Name", str)


class Minutes(timedelta): ...


class Clock(time): ...


class Raw(bytes): ...


BASES: list[tuple[Any, Any, Any]] = [
    (str, TEXT, "<b>"),
    (str, zoo.Mode.FAST, "fast"),
    (float, HALF, 0.5),
    (float, True, 1.0),
    (float, zoo.Whole(2), 2.0),
    (int, True, 1),
    (int, zoo.Level.HIGH, 2),
    (int, zoo.Whole(2**60), 2**60),
    (bytes, Raw(b"x"), b"x"),
    (bytes, bytearray(b"x"), b"x"),
    (datetime, zoo.Timestamp(2024, 5, 17, 1, tzinfo=UTC), datetime(2024, 5, 17, 1, tzinfo=UTC)),
    (date, MIDNIGHT, DAY),
    (date, zoo.Timestamp(2024, 5, 17), DAY),
    (date, zoo.Day(2024, 5, 17), DAY),
    (time, Clock(1, 2, 3), time(1, 2, 3)),
    (timedelta, Minutes(minutes=5), timedelta(minutes=5)),
    (Decimal, zoo.Money("1.50"), Decimal("1.50")),
    (uuid.UUID, zoo.Key(int=KEY.int), KEY),
    (str | None, TEXT, "<b>"),
    (int | str, zoo.Level.LOW, 1),
    (float | str | None, HALF, 0.5),
    (float | None, True, 1.0),
    (date | None, MIDNIGHT, DAY),
    (bytes | None, bytearray(b"x"), b"x"),
    (Name, TEXT, "<b>"),
    (Annotated[str, "a note"], TEXT, "<b>"),
    (list[float], [HALF, 1.5], [0.5, 1.5]),
    (list[int], [True, 2], [1, 2]),
    (set[str], {TEXT}, {"<b>"}),
    (frozenset[str], frozenset({TEXT}), frozenset({"<b>"})),
    (tuple[float, str], (HALF, TEXT), (0.5, "<b>")),
    (tuple[float, ...], (HALF,), (0.5,)),
    (dict[str, float], {TEXT: HALF}, {"<b>": 0.5}),
    (dict[int, list[date]], {zoo.Whole(1): [MIDNIGHT]}, {1: [DAY]}),
    (dict[str, int], collections.Counter("aab"), {"a": 2, "b": 1}),
    (dict[str, int], collections.OrderedDict(a=1), {"a": 1}),
    (list[float] | None, [HALF], [0.5]),
    (Sequence[float], (HALF,), [0.5]),
    (Sequence[int], range(2), [0, 1]),
    (Sequence[int], collections.deque([1]), [1]),
    (Iterable[int], {"a": 1}.values(), [1]),
    (Mapping[str, int], collections.ChainMap({"a": 1}), {"a": 1}),
    (AbstractSet[str], {"a": 1}.keys(), {"a"}),
    (tuple[int, float], zoo.Pair(1, HALF), (1, 0.5)),
    (zoo.Pair, zoo.Pair(True), zoo.Pair(1)),
    (zoo.Plain, zoo.Plain(TEXT, True), zoo.Plain("<b>", 1)),
    (zoo.Slotted, zoo.Slotted(TEXT, zoo.Hidden(TEXT)), zoo.Slotted("<b>", zoo.Hidden("<b>"))),
    (zoo.Box[float], zoo.Box(HALF), zoo.Box(0.5)),
    (zoo.Attrs, zoo.Attrs(TEXT), zoo.Attrs("<b>")),
    (zoo.Struct, zoo.Struct(TEXT), zoo.Struct("<b>")),
    (zoo.Row, zoo.Row(True, zoo.Timestamp(2024, 5, 17)), zoo.Row(1, MIDNIGHT)),
    (zoo.Item, zoo.Item.model_construct(price=HALF), zoo.Item(price=0.5)),
    (zoo.Keys, {"name": TEXT, "when": MIDNIGHT}, {"name": "<b>", "when": DAY}),
    (list[zoo.Plain | str], [zoo.Plain(TEXT), TEXT], [zoo.Plain("<b>"), "<b>"]),
]


@pytest.mark.parametrize(("hint", "value", "expected"), BASES)
def test_a_value_of_a_subclass_arrives_as_its_base(
    codec: Codec, hint: Any, value: Any, expected: Any
) -> None:
    before = content(value)
    assert content(arrive(taking(hint, codec), value)) == content(expected)
    assert content(value) == before


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (date, NOON, "Expected `datetime.date`, got `datetime.datetime`"),
        (date, MIDNIGHT.replace(tzinfo=UTC), "Expected `datetime.date`, got `datetime.datetime`"),
        (float, 2**53 + 1, "`int` would arrive as `float`"),
        (Literal[1], True, "got `bool`"),
        (int | zoo.Level, 1, "`int` would arrive as `tests.codec.zoo.Level`"),
        (Any, TEXT, "`tests.codec.zoo.SafeText` would arrive as `str`"),
        (object, zoo.Level.LOW, "`tests.codec.zoo.Level` would arrive as `int`"),
        (Any, zoo.Mode.FAST, "`tests.codec.zoo.Mode` would arrive as `str`"),
        (dict[str, Any], {"a": [HALF]}, "Float64` would arrive as `float` - at `value.a[0]`"),
        (list[Any], [(1,)], "`tuple` would arrive as `list` - at `value[0]`"),
        (Any, collections.OrderedDict(a=1), "OrderedDict` would arrive as `dict`"),
        (Sequence[str], "ab", "Expected `collections.abc.Sequence[str]`, got `str`"),
        (Iterable[int], {1}, "`set` would arrive as `list`"),
        (Iterable[int], iter([1]), "cannot encode `list_iterator`"),
    ],
)
def test_a_value_that_no_annotation_has_a_base_for_is_refused(
    codec: Codec, hint: Any, value: Any, text: str
) -> None:
    assert text in refusal(taking(hint, codec), value)


@pytest.mark.parametrize("value", [TEXT, [HALF], {"a": zoo.Mode.FAST}, MIDNIGHT, (1,), {TEXT: 1}])
def test_a_result_without_annotation_is_never_refused_for_its_class(
    codec: Codec, value: Any
) -> None:
    task = taking(Any, codec)
    assert task.decode_result(task.encode_result(value)) is not None


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (bytes | str, "YQ==", "`str` would arrive as `bytes`"),
        (list[bytes | str], ["YQ=="], "`str` would arrive as `bytes` - at `result[0]`"),
        (float, 2**53 + 1, "`int` would arrive as `float`"),
    ],
)
def test_a_result_that_would_say_something_else_is_refused(
    hint: Any, value: Any, text: str
) -> None:
    def returns() -> Any: ...

    returns.__annotations__["return"] = hint
    with pytest.raises(ResultError) as caught:
        make(returns, CODECS["json"]).encode_result(value)
    assert text in str(caught.value)


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    names: list[str] = []


class Child(Parent, frozen=True, kw_only=True):
    more: int


class TestObjectsOfSubclasses:
    @pytest.mark.parametrize("hint", [Parent, Parent | None])
    def test_a_struct_travels_as_its_base(self, codec: Codec, hint: Any) -> None:
        child = Child(name="a", names=["b"], more=1)
        assert arrive(taking(hint, codec), child) == Parent(name="a", names=["b"])
        assert arrive(taking(list[hint], codec), [child]) == [Parent(name="a", names=["b"])]

    @pytest.mark.parametrize(
        ("hint", "value", "expected"),
        [
            (zoo.Plain, zoo.Special("a", 1, "more"), zoo.Plain("a", 1)),
            (list[zoo.Plain], [zoo.Special("a")], [zoo.Plain("a")]),
            (zoo.Plain | None, zoo.Special("a"), zoo.Plain("a")),
            (zoo.Cat, zoo.Kitten(lives=3, weeks=5), zoo.Cat(lives=3)),
            (zoo.Owner, zoo.Owner(pet=zoo.Kitten(), others=[zoo.Kitten(lives=1)]), None),
        ],
    )
    def test_they_arrive_as_annotated_and_the_log_says_so_once(
        self, codec: Codec, hint: Any, value: Any, expected: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        expected = expected or zoo.Owner(pet=zoo.Cat(), others=[zoo.Cat(lives=1)])
        task = taking(hint, codec)
        with caplog.at_level(logging.WARNING, "ltq.task"):
            for _ in range(2):
                assert content(arrive(task, value)) == content(expected)
        kind, base = ("Special", "Plain") if "Special" in repr(value) else ("Kitten", "Cat")
        assert [record.getMessage() for record in caplog.records] == [
            f"github:fetch: {where}: `tests.codec.zoo.{kind}` travels as `tests.codec.zoo.{base}`, "
            "as annotated, without what it adds to that"
            for where in ("argument 'value'", "result")
        ]

    def test_one_that_is_of_an_arm_of_its_own_stays_what_it_is(self, codec: Codec) -> None:
        value = zoo.Struct("a")
        assert content(arrive(taking(zoo.Struct | zoo.Plain, codec), value)) == content(value)


class NoTime(datetime):
    """A class of datetimes that have no parts, such as `pandas.NaT`."""

    @property
    def year(self) -> int:
        raise TypeError("this is no time")


def test_a_class_that_has_no_base_value_is_refused_as_any_other(codec: Codec) -> None:
    task, value = taking(datetime, codec), NoTime(2024, 1, 1)
    assert "cannot encode `" in refusal(task, value)
    with pytest.raises(ResultError, match="cannot encode `"):
        task.encode_result(value)


def test_a_result_that_its_annotation_cannot_hold_fails(codec: Codec) -> None:
    with pytest.raises(ResultError, match=r"Expected `datetime\.date`, got `datetime\.datetime`"):
        taking(date, codec).encode_result(NOON)
