"""`*args` and `**kwargs` whose annotations name each place or each key.

This module postpones its annotations: a TypedDict does not know then what is required.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from types import ModuleType
from typing import Annotated, Any, Generic, NotRequired, Required, TypedDict, TypeVar, Unpack

import msgspec
import pytest
import typing_extensions
from typing_extensions import ReadOnly, TypeVarTuple

from ltq._codec.codec import Codec
from tests.codec.samples import make, refusal, taking, travel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Options(TypedDict):
    depth: int
    tag: NotRequired[str]
    day: NotRequired[Annotated[date, "a note"]]


class Loose(TypedDict, total=False):
    a: Required[int]
    b: int


class Inherited(Options, total=False):
    more: int
    must: Required[ReadOnly[int]]


class Extended(typing_extensions.TypedDict):
    a: typing_extensions.ReadOnly[typing_extensions.Required[int]]
    b: Annotated[typing_extensions.NotRequired[int], "a note"]
    c: typing_extensions.ReadOnly[typing_extensions.NotRequired[Annotated[int, msgspec.Meta(gt=0)]]]


class OfKind(TypedDict, Generic[T]):
    value: T
    others: NotRequired[list[T]]


Words = TypedDict("Words", {"from": "str", "in": NotRequired["int"], "two words": NotRequired[int]})


def options(repo: str, **options: Unpack[Options]) -> None: ...
def loose(**keys: Unpack[Loose]) -> None: ...
def inherited(**keys: Unpack[Inherited]) -> None: ...
def extended(**keys: typing_extensions.Unpack[Extended]) -> None: ...
def of_kind(**keys: Unpack[OfKind[date]]) -> None: ...
def words(**keys: Unpack[Words]) -> None: ...


FIT: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
    (options, ("a",), {"depth": 1}),
    (options, ("a",), {"depth": 1, "tag": "x", "day": date.min}),
    (loose, (), {"a": 1}),
    (loose, (), {"a": 1, "b": 2}),
    (inherited, (), {"depth": 1, "must": 1}),
    (inherited, (), {"depth": 1, "must": 1, "more": 1, "tag": "x"}),
    (extended, (), {"a": 1}),
    (extended, (), {"a": 1, "b": 2, "c": 3}),
    (of_kind, (), {"value": date.min, "others": [date.max]}),
    (words, (), {"from": "a"}),
    (words, (), {"from": "a", "in": 1, "two words": 2}),
]

REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (options, ("a",), {"tag": "x"}, "missing a required argument: 'depth'"),
    (options, ("a",), {"depth": 1, "x": 2}, "got an unexpected keyword argument 'x'"),
    (options, ("a",), {"depth": 1, "tag": 2}, "argument 'tag': Expected `str`, got `int`"),
    (options, ("a",), {"depth": 1, "tag": None}, "argument 'tag': Expected `str`, got"),
    (options, (), {"depth": 1}, "missing a required argument: 'repo'"),
    (loose, (), {"b": 1}, "missing a required argument: 'a'"),
    (inherited, (), {"depth": 1}, "missing a required argument: 'must'"),
    (extended, (), {"b": 1}, "missing a required argument: 'a'"),
    (extended, (), {"a": 1, "c": 0}, "argument 'c': Expected `int` >= 1"),
    (of_kind, (), {"value": 1}, "argument 'value': Expected `datetime.date`, got `int`"),
    (words, (), {"in": 1}, "missing a required argument: 'from'"),
]


class TestKeys:
    @pytest.mark.parametrize(("fn", "args", "kwargs"), FIT)
    def test_a_call_that_fits_travels(
        self, codec: Codec, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        assert travel(make(fn, codec), *args, **kwargs) == (args, kwargs)

    @pytest.mark.parametrize(("fn", "args", "kwargs", "text"), REFUSED)
    def test_another_is_refused(
        self, codec: Codec, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
    ) -> None:
        assert text in refusal(make(fn, codec), *args, **kwargs)

    def test_the_same_dict_as_an_argument_agrees(self, codec: Codec) -> None:
        for fn, _, keys in FIT:
            hint = {options: Options, loose: Loose, inherited: Inherited, extended: Extended}.get(
                fn
            )
            if hint is not None:
                assert travel(taking(hint, codec), keys) == ((keys,), {})

    def test_a_base_of_another_module_means_its_own_names(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("bases")
        monkeypatch.setitem(sys.modules, "bases", module)
        source = (
            "from __future__ import annotations\nfrom typing import *\nDay = int\n"
            "class Base(TypedDict):\n    day: NotRequired[Day]\n    must: Day\n"
        )
        exec(source, module.__dict__)
        base: Any = module.Base
        Day = str  # noqa: N806  another one

        class Child(base):  # type: ignore[misc]
            more: NotRequired[int]  # type: ignore[valid-type]

        def fetch(**keys: Unpack[Child]) -> None: ...  # type: ignore[misc]

        task = make(fetch, localns=locals())
        assert travel(task, must=1, day=2) == ((), {"must": 1, "day": 2})
        assert "argument 'day': Expected `int`" in refusal(task, must=1, day="x")
        assert "missing a required argument: 'must'" in refusal(task, more=1)

    def test_a_key_left_out_is_another_call_than_one_that_is_none(self) -> None:
        class Maybe(TypedDict, total=False):
            tag: str | None

        def fetch(**keys: Unpack[Maybe]) -> None: ...

        task = make(fetch, localns=locals())
        prints = {task.fingerprint(task.encode_call((), keys)) for keys in ({}, {"tag": None})}
        assert len(prints) == 2


def any_number(*args: *tuple[date, ...]) -> None: ...
def two(*args: *tuple[int, date]) -> None: ...
def mixed(a: int, *args: *tuple[str, *tuple[date, ...], int]) -> None: ...
def variadic(*args: *Ts) -> None: ...
def one_tuple(*args: tuple[int, ...]) -> None: ...


class TestPlaces:
    @pytest.mark.parametrize(
        ("fn", "args"),
        [
            (any_number, ()),
            (any_number, (date.min, date.max)),
            (two, (1, date.min)),
            (mixed, (1, "a", 2)),
            (mixed, (1, "a", date.min, date.max, 2)),
            (variadic, (1, "a", None)),
            (one_tuple, ((1, 2), ())),
        ],
    )
    def test_a_call_that_fits_travels(self, codec: Codec, fn: Any, args: tuple[Any, ...]) -> None:
        assert travel(make(fn, codec), *args) == (args, {})

    @pytest.mark.parametrize(
        ("fn", "args", "text"),
        [
            (any_number, (date.min, 1), "argument '*args[1]': Expected `datetime.date`, got `int`"),
            (two, (1,), "missing positional arguments: 1 of 2 are given"),
            (two, (1, date.min, 2), "too many positional arguments"),
            (two, (date.min, 1), "argument '*args[0]': Expected `int`"),
            (mixed, (1, "a"), "missing positional arguments: 1 of 2 are given"),
            (mixed, (1, "a", 3, 2), "argument '*args[1]': Expected `datetime.date`, got `int`"),
            (mixed, (1, "a", date.min), "argument '*args[1]': Expected `int`"),
            (one_tuple, (1,), "argument '*args[0]': Expected `tuple[int, ...]`, got `int`"),
        ],
    )
    def test_another_is_refused(
        self, codec: Codec, fn: Any, args: tuple[Any, ...], text: str
    ) -> None:
        assert text in refusal(make(fn, codec), *args)
