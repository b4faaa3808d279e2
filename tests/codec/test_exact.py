"""Values that are seen to arrive as they were, without being read back."""

import dataclasses
import enum
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pytest

from ltq._codec.exact import exact_check
from tests.codec.samples import CODECS, arrive, taking


class Text(str): ...


class Level(enum.IntEnum):
    LOW = 1


class Point(msgspec.Struct):
    x: int
    name: str = ""


class Tagged(msgspec.Struct, tag=True, rename="camel", array_like=True):
    the_point: Point
    others: list[Point] = []


@dataclasses.dataclass
class Row:
    x: int
    name: str = ""


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    x: int
    row: Row | None = None


class Keys(TypedDict):
    x: int
    name: str


class Partly(TypedDict):
    x: int
    name: NotRequired[str]


class Place(NamedTuple):
    x: int
    name: str = ""


class Empty(NamedTuple): ...


class Sub(Place): ...


class Noted(msgspec.Struct, dict=True):
    x: int


@dataclasses.dataclass
class Hooked:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclasses.dataclass
class Wide(Row):
    more: int = 0


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")


def bare(cls: Any, **attributes: Any) -> Any:
    """An instance with these attributes, whatever its class says."""
    made = cls.__new__(cls)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made


KINDS: list[tuple[Any, list[Any], list[Any]]] = [
    (int, [1, -5], [True, 1.0, "1", Level.LOW, None]),
    (float, [1.5, -0.0], [1, NAN, INF, True]),
    (
        datetime,
        [NOON, datetime.min],
        [NOON.replace(tzinfo=timezone(timedelta(hours=1))), NOON.date()],
    ),
    (Level, [Level.LOW], [1]),
    (Literal["a", "b"], ["a"], ["c", Text("a"), ["a"]]),
    (Literal[1, 2], [1], [True, 3, 1.0]),
    (list[int], [[], [1]], [[True], (1,), [None], {1}, None]),
    (list, [[], [1, "a", None, [1.5]]], [[(1,)], [NAN], (1,)]),
    (dict, [{}, {"a": {"b": [1]}}], [{1: 1}, {Text("a"): 1}, {"a": {1}}, OrderedDict(a=1)]),
    (Any, [1, 1.5, {"a": [{"b": [None, 1.0]}]}], [(1,), {"a": (1,)}, [[{1}]], NOON, [Text("a")]]),
    (set[int], [{1, 2}, set()], [{True}, frozenset([1]), [1]]),
    (frozenset[str], [frozenset(["a"])], [{"a"}, frozenset([Text("a")])]),
    (dict[int, str], [{1: "a"}, {}], [{True: "a"}, {1: Text("a")}, {"1": "a"}]),
    (dict[uuid.UUID, date], [{uuid.UUID(int=1): date.min}], [{uuid.UUID(int=1): NOON}]),
    (dict[str, list[int]], [{"a": [1]}], [{"a": [True]}, {Text("a"): [1]}]),
    (tuple[int, str], [(1, "a")], [(1,), (1, "a", 2), ("a", 1), [1, "a"], Place(1, "a"), ()]),
    (tuple[int, ...], [(1, 2), ()], [(1, True), [1]]),
    (tuple[()], [()], [(1,)]),
    (int | str, [1, "a"], [True, None, 1.0]),
    (int | None, [1, None], [True]),
    (Point | None, [Point(1), None], [Point(True), Row(1)]),
    (list[int] | None, [[1], None], [[True]]),
    (Point, [Point(1, "a")], [Point(True), Point(1, Text("a")), Row(1), None]),
    (Tagged, [Tagged(Point(1)), Tagged(Point(1), [Point(2)])], [Tagged(Point(1), [Point(True)])]),
    (Row, [Row(1, "a")], [Row(True), Wide(1), bare(Row, x=1), bare(Row, x=1, name="", z=1)]),
    (Slotted, [Slotted(1, Row(1)), Slotted(1)], [Slotted(True), Slotted(1, Wide(1))]),
    (Keys, [{"x": 1, "name": "a"}], [{"x": 1}, {"x": 1, "name": 1}, {"x": 1, Text("name"): "a"}]),
    (Partly, [{"x": 1, "name": "a"}], [{"x": True}, {"x": 1, "z": "a"}, {1: 1}, []]),
    (Place, [Place(1)], [(1, ""), Sub(1), Place(True)]),
    (Empty, [Empty()], [()]),
]

IDS = [str(hint) for hint, _, _ in KINDS]

UNKNOWN = [Noted, Hooked, Sub, Literal["a", 1], Literal[True, 1], dict[float, int], "Later"]


class TestExact:
    @pytest.mark.parametrize(("hint", "exact", "others"), KINDS, ids=IDS)
    def test_one_value_is_seen(self, hint: Any, exact: list[Any], others: list[Any]) -> None:
        check: Any = exact_check(hint)
        assert [value for value in exact if not check(value)] == []
        assert [value for value in others if check(value)] == []

    @pytest.mark.parametrize(("hint", "exact", "others"), KINDS, ids=IDS)
    def test_many_are_seen(self, hint: Any, exact: list[Any], others: list[Any]) -> None:
        check: Any = exact_check(list[hint])
        nested: Any = exact_check(dict[str, tuple[list[hint], int]])
        for values in ([], exact, exact * 2):
            assert check(values)
            assert nested({"a": (values, 1), "b": (values, 1)})
        for other in others:
            assert not check([other])
            assert not check([*exact, other, *exact])
            assert not nested({"a": (exact, 1), "b": ([other], 1)})

    @pytest.mark.parametrize("name", ["json", "msgpack"])
    @pytest.mark.parametrize(("hint", "exact"), [one[:2] for one in KINDS], ids=IDS)
    def test_what_is_seen_arrives(self, name: str, hint: Any, exact: list[Any]) -> None:
        for value in exact:
            assert repr(arrive(taking(hint, CODECS[name]), value)) == repr(value)

    @pytest.mark.parametrize("hint", UNKNOWN, ids=str)
    def test_of_others_it_is_not_known(self, hint: Any) -> None:
        assert exact_check(hint) is None
        assert exact_check(list[hint]) is None
