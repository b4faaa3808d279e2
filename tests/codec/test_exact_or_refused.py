"""What is sent arrives as it was, in content and type, or is refused: for any type, any value."""

import contextlib
import math
import typing
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ltq.errors import InvalidArgumentsError
from tests.codec import zoo
from tests.codec.samples import CODECS, taking

pytestmark = pytest.mark.slow

ATOMS: list[st.SearchStrategy[Any]] = [
    st.none(),
    st.booleans(),
    st.integers(-3, 3) | st.integers(),
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]) | st.floats(),
    st.sampled_from(["1", "fast", "true", "2024-01-01", "b", "\ud800"]) | st.text(max_size=5),
    st.binary(max_size=3),
    st.sampled_from(
        [Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal("sNaN"), Decimal("Inf")]
    ),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(UTC) | st.just(ZoneInfo("Europe/Paris"))),
    st.times(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-3)))),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*zoo.Level, *zoo.Mode, *zoo.Odd, zoo.Rights.READ | zoo.Rights.WRITE]),
    st.sampled_from([zoo.SafeText("s"), zoo.Float64(1.5), zoo.Whole(7), zoo.Money("1.5")]),
    st.just(zoo.Timestamp(2024, 1, 1)),
]
ATOM = st.one_of(ATOMS)
TEXT = st.text("abc", max_size=4)
PRICE = st.sampled_from([None, 0.0, -0.0, 1.5, math.nan])


def _with(value: Any, **attributes: Any) -> Any:
    for name, part in attributes.items():
        with contextlib.suppress(AttributeError, ValueError, TypeError):
            object.__setattr__(value, name, part)
    return value


def _made(name: str, size: int, more: dict[str, Any], is_read: bool) -> zoo.Made:
    value: zoo.Made = _with(zoo.Made(name), size=size, **more)
    if is_read:
        assert value.slow == name * 2
    return value


def _order(id: int, card: str, token: str) -> zoo.Order:  # noqa: A002
    order = zoo.Order(id=id, card=card)
    order._token = token
    return order


OBJECTS: dict[Any, st.SearchStrategy[Any]] = {
    zoo.Plain: st.builds(zoo.Plain, TEXT, st.integers()) | st.builds(zoo.Plain, ATOM, ATOM),
    zoo.Hidden: st.builds(zoo.Hidden, TEXT, TEXT, PRICE),
    zoo.Yes: st.builds(zoo.Yes, TEXT, ATOM),
    zoo.Made: st.builds(
        _made, TEXT, st.integers(0, 3), st.dictionaries(st.just("more"), ATOM), st.booleans()
    ),
    zoo.Growing: st.builds(zoo.Growing, TEXT),
    zoo.Slotted: st.builds(zoo.Slotted, TEXT, st.none() | st.builds(zoo.Hidden, TEXT, TEXT)),
    zoo.Box[int]: st.builds(zoo.Box, ATOM),
    zoo.Box[Any]: st.builds(zoo.Box, ATOM),
    zoo.Attrs: st.builds(zoo.Attrs, TEXT, TEXT, st.integers(0, 1)),
    zoo.Converted: st.builds(zoo.Converted, st.sampled_from(["1", 2, 3.0])).map(
        lambda one: _with(one, made=one.number)
    ),
    zoo.Struct: st.builds(zoo.Struct, TEXT, st.lists(ATOM, max_size=2), st.none() | TEXT),
    zoo.Row: st.builds(zoo.Row, st.integers(), st.none() | st.datetimes()),
    zoo.Loose: st.builds(zoo.Loose, TEXT)
    | st.builds(lambda name, more: _with(zoo.Loose(name), more=more), TEXT, ATOM),
    zoo.Order: st.builds(_order, st.integers(), TEXT, TEXT),
    zoo.Item: st.builds(zoo.Item, price=st.floats(), anything=ATOM)
    | st.builds(
        lambda more: zoo.Item(price=1, **more), st.dictionaries(TEXT.map("x".__add__), ATOM)
    ),
    zoo.Alias: st.builds(zoo.Alias, number=st.integers(), inText=TEXT, b=TEXT),
    zoo.Short: st.builds(zoo.Short, text=st.text("abc", max_size=6), day=st.datetimes()),
    zoo.Rounded: st.builds(zoo.Rounded, value=st.floats(0, 2)),
    zoo.Whole_: st.builds(zoo.Whole_, value=st.integers(0, 20)),
    zoo.Area: st.builds(zoo.Area, width=st.integers()),
    zoo.Cat: st.builds(zoo.Cat, lives=st.integers()),
    zoo.Owner: st.builds(
        zoo.Owner,
        pet=st.builds(zoo.Cat) | st.builds(zoo.Dog, tags=st.frozensets(TEXT)),
        others=st.lists(st.builds(zoo.Cat), max_size=1),
    ),
    zoo.Ids: st.lists(st.integers(), max_size=2).map(zoo.Ids),
    zoo.Page[zoo.Order]: st.lists(st.builds(_order, st.integers(0, 2), TEXT, TEXT), max_size=2).map(
        lambda items: zoo.Page[zoo.Order](items=items)
    ),
    zoo.Page[Any]: st.lists(ATOM, max_size=2).map(lambda items: zoo.Page[Any](items=items)),
    zoo.Checked: st.builds(zoo.Checked, TEXT, TEXT),
    zoo.Keys: st.fixed_dictionaries({}, optional={"name": TEXT, "when": st.dates(), "more": ATOM}),
    zoo.Pair: st.builds(zoo.Pair, st.integers(), ATOM),
}
OBJECT = st.one_of(list(OBJECTS.values()))
PLAIN_HINTS: list[Any] = [
    Any, object, None, bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta,
    uuid.UUID, zoo.Level, zoo.Mode, zoo.Odd, zoo.Rights,
]  # fmt: skip
ALIKE: list[Any] = [
    int | zoo.Level, str | zoo.Mode, frozenset[Any] | set[Any], list[Any] | tuple[Any, ...],
    bytes | str, datetime | date | str, Decimal | float, uuid.UUID | str, int | float | bool,
    zoo.Plain | zoo.Hidden, zoo.Cat | zoo.Dog, zoo.Struct | zoo.Plain | None,
    Annotated[zoo.Cat | zoo.Dog, pydantic.Field(discriminator="kind")], list[int] | list[str],
]  # fmt: skip
LIST: Any = list
DICT: Any = dict
TUPLE: Any = tuple
OPTIONAL: Any = typing.Optional
ANNOTATED: Any = Annotated
HINTS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.sampled_from([*PLAIN_HINTS, *ALIKE, *OBJECTS]),
        HINTS.map(lambda hint: LIST[hint]),
        HINTS.map(lambda hint: DICT[str, hint]),
        HINTS.map(lambda hint: TUPLE[hint, ...]),
        HINTS.map(lambda hint: OPTIONAL[hint]),
        HINTS.map(lambda hint: ANNOTATED[hint, "a note"]),
        st.tuples(st.sampled_from([int, str, uuid.UUID, float]), HINTS).map(
            lambda pair: DICT[pair[0], pair[1]]
        ),
    )
)
VALUES = st.recursive(
    ATOM | OBJECT,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("ab", max_size=2) | st.integers(0, 2), inner, max_size=3),
        st.sets(st.integers(0, 2) | st.booleans() | st.text("ab", max_size=1), max_size=3),
        st.frozensets(st.integers(0, 2), max_size=2),
    ),
    max_leaves=4,
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that may well be of a type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in OBJECTS:
        return OBJECTS[hint]
    if origin is Annotated:
        return values_of(args[0])
    if origin is list:
        return st.lists(values_of(args[0]), max_size=3)
    if origin is tuple and ... in args:
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if origin is dict:
        keys = {str: TEXT, int: st.integers(), uuid.UUID: st.uuids(), float: st.floats()}
        return st.dictionaries(keys[args[0]], values_of(args[1]), max_size=3)
    if args and origin not in (set, frozenset, tuple):
        return st.one_of([values_of(arm) for arm in args])
    return VALUES


CASES = HINTS.flatmap(lambda hint: st.tuples(st.just(hint), values_of(hint) | VALUES))

BASES: dict[type, type] = {
    zoo.SafeText: str,
    zoo.Float64: float,
    zoo.Whole: int,
    zoo.Money: Decimal,
    zoo.Timestamp: datetime,
    zoo.Level: int,
    zoo.Mode: str,
    bool: int,
    datetime: date,
    int: float,
    zoo.Pair: tuple,
}
"""What may arrive as its base where an annotation names that; the rest of this file tests it."""


def _differs(sent: Any, got: Any) -> str:
    """Where two contents differ, except for scalars that arrive as their base."""
    if sent == got:
        return ""
    if type(sent) is not list or type(got) is not list or len(sent) != len(got):
        return f"{sent} != {got}"
    if isinstance(sent[0], type) and isinstance(got[0], type) and sent[0] is not got[0]:
        kind: Any = sent[0]
        while kind in BASES:
            kind = BASES[kind]
            if kind is got[0]:
                return ""
        return f"{sent} != {got}"
    return next(filter(None, map(_differs, sent, got)), "")


@pytest.mark.parametrize("name", list(CODECS))
def test_any_value_of_any_type_arrives_as_it_was_or_is_refused(name: str) -> None:
    codec = CODECS[name]

    @given(CASES)
    @example((zoo.Order, _order(1, "4711", "")))
    @example((int | zoo.Level, 1))
    def check(case: tuple[Any, Any]) -> None:
        hint, value = case
        before = zoo.content(value)
        task = taking(hint, codec)
        try:
            body = task.encode_call((value,), {})
        except InvalidArgumentsError as error:
            text = str(error)
        else:
            (got,), _ = task.decode_call(body)
            text = _differs(before, zoo.content(got)) or "github:fetch: argument 'value': none"
        assert text.startswith("github:fetch: argument 'value': ")
        assert zoo.content(value) == before

    check()
