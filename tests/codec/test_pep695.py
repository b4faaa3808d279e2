"""`type` aliases and type parameters, which Python has since 3.12. Older ones do not collect this.

The declarations are a text: so the tools that read this file need not know them.
"""

import sys
from collections.abc import Iterator
from datetime import date
from types import ModuleType
from typing import Any

import pytest

import ltq
from ltq._codec.codec import Codec
from ltq.errors import ConfigurationError
from tests.codec.samples import arrive, make, refusal, taking, travel

SOURCE = """
import dataclasses, msgspec
from datetime import date
from typing import *

type Json = str | int | float | bool | None | list[Json] | dict[str, Json]
type Even = list[Odd] | None
type Odd = dict[str, Even] | date
type Tree[T] = T | list[Tree[T]]
type Maybe[T] = T | None
type Days = list[date]
type Quoted = list["Quoted"] | Day
type Growing[T] = T | list[Growing[list[T]]]
type Itself = Itself
Day = date

@dataclasses.dataclass
class Doc:
    body: Json
    day: date = date.min

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    body: Json

class Record(msgspec.Struct, tag=True):
    body: Json

class Keys(TypedDict):
    body: Json
    day: NotRequired[date]

class Row(NamedTuple):
    body: Json
    number: int = 1

@dataclasses.dataclass
class Node[T]:
    value: T
    next: "Node[T] | None" = None
    body: Json = None

@dataclasses.dataclass
class Box[T]:
    content: T

class Options[T](TypedDict):
    value: T
    more: NotRequired[list[T]]

async def keep(value: Json) -> Json: ...
async def same[T](value: T, *others: T) -> list[T]: ...
async def limited[T: Doc](value: T) -> T: ...
async def either[T: (date, int)](value: T) -> T: ...
async def options[T](**keys: Unpack[Options[date]]) -> None: ...
async def any_call[**P](*args: P.args, **kwargs: P.kwargs) -> None: ...
async def variadic[*Ts](*args: *Ts) -> tuple[*Ts]: ...
async def all_json(*args: Json, **kwargs: Json) -> None: ...
"""

VALUE = {"a": [1, {"b": None}, "x", 1.5], "c": True}


@pytest.fixture(params=["", "from __future__ import annotations\n"], ids=["", "postponed"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = ModuleType("pep695")
    monkeypatch.setitem(sys.modules, "pep695", made)
    exec(compile(request.param + SOURCE, "pep695.py", "exec"), made.__dict__)
    return made


CASES = [
    ("Json", VALUE),
    ("Json | None", None),
    ("Json | date", date.min),
    ("list[Json]", [VALUE, 1]),
    ("dict[str, Json] | None", VALUE),
    ("tuple[Json, ...]", (VALUE, 1)),
    ("Even", [{"a": [date.min]}, date.max]),
    ("Odd", {"a": [{"b": None}]}),
    ("Tree[date]", [date.min, [[date.max]]]),
    ("Maybe[date]", date.min),
    ("Days", [date.min]),
    ("Quoted", [[date.min], []]),
    ("Doc", "Doc(VALUE)"),
    ("Doc | Record", "Record(VALUE)"),
    ("list[Doc]", "[Doc(1)]"),
    ("Frozen", "Frozen(VALUE)"),
    ("Record", "Record(VALUE)"),
    ("Keys", {"body": VALUE}),
    ("Row", "Row(VALUE, 4)"),
    ("Node[date]", "Node(date.min, Node(date.max), VALUE)"),
    ("Box[date]", "Box(date.min)"),
    ("Box[Json]", "Box(VALUE)"),
]

REFUSED = [
    ("Json", [{"a": b"x"}], "b"),
    ("Json", [date.min], "`datetime.date` would arrive as `str`"),
    ("Tree[date]", [date.min, [1]], "got `int` - at `value[1][0]`"),
    ("Even", [{"a": [1]}], "got `int` - at `value[0].a[0]`"),
    ("Doc", "Doc([date.min])", "`datetime.date` would arrive as `str`"),
    ("Node[date]", "Node(1)", "Expected `datetime.date`, got `int`"),
    ("Box[date]", "Box(1)", "Expected `datetime.date`, got `int`"),
    ("Keys", {"day": date.min}, "missing required field `body`"),
]


def made(module: Any, value: Any) -> Any:
    names = {**module.__dict__, "VALUE": VALUE}
    return eval(value, names) if isinstance(value, str) else value


class TestAliases:
    @pytest.mark.parametrize(("hint", "value"), CASES)
    def test_a_value_arrives_as_it_was(
        self, codec: Codec, module: Any, hint: str, value: Any
    ) -> None:
        sent = made(module, value)
        got = arrive(taking(made(module, hint), codec), sent)
        assert got == sent
        assert type(got) is type(sent)

    @pytest.mark.parametrize(("hint", "value", "text"), REFUSED)
    def test_what_does_not_fit_is_refused(
        self, codec: Codec, module: Any, hint: str, value: Any, text: str
    ) -> None:
        assert text in refusal(taking(made(module, hint), codec), made(module, value))

    @pytest.mark.parametrize(
        ("hint", "text"),
        [
            ("Itself", "`Itself` stands for itself"),
            ("Growing[int]", "names itself with ever new arguments"),
        ],
    )
    def test_an_alias_without_end_is_refused(self, module: Any, hint: str, text: str) -> None:
        with pytest.raises(ConfigurationError, match=text):
            taking(made(module, hint))

    def test_in_all_kinds_of_parameters(self, codec: Codec, module: Any) -> None:
        task = make(module.all_json, codec)
        assert travel(task, VALUE, 1, a=VALUE) == ((VALUE, 1), {"a": VALUE})
        assert "argument '*args[1]': " in refusal(task, 1, [date.min])
        assert "argument 'b': " in refusal(task, a=1, b=[date.min])

    async def test_a_task_takes_and_gives_them(self, module: Any) -> None:
        worker = ltq.Worker("pep695", broker_url="memory://pep695")

        @worker.task
        async def keep(value: "module.Json") -> "module.Json":
            return value

        async with worker:
            assert await (await keep.send(VALUE)).result(timeout=5) == VALUE


class TestTypeParameters:
    def test_a_generic_function_takes_what_fits(self, codec: Codec, module: Any) -> None:
        doc = module.Doc(VALUE)
        calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
            (module.same, (1, "a"), {}),
            (module.limited, (doc,), {}),
            (module.either, (date.min,), {}),
            (module.either, (1,), {}),
            (module.options, (), {"value": date.min}),
            (module.options, (), {"value": date.min, "more": [date.max]}),
            (module.any_call, (1,), {"a": "b"}),
            (module.variadic, (1, "a"), {}),
        ]
        for fn, args, kwargs in calls:
            assert travel(make(fn, codec), *args, **kwargs) == (args, kwargs)

    def test_and_refuses_what_does_not(self, codec: Codec, module: Any) -> None:
        assert "Expected `" in refusal(make(module.limited, codec), 1)
        assert "Expected `" in refusal(make(module.either, codec), 1.5)
        assert "Expected `datetime.date`" in refusal(make(module.options, codec), value=1)
        assert "missing a required argument: 'value'" in refusal(make(module.options, codec))


@pytest.mark.parametrize("annotation", ["Later", "'Later'", "LaterOf[int]", "int | LaterOf[int]"])
def test_an_alias_may_say_that_the_result_is_awaited(annotation: str) -> None:
    names: dict[str, Any] = {}
    source = (
        "from collections.abc import Awaitable\n"
        "type Later = Awaitable[int]\n"
        "type LaterOf[T] = Awaitable[T]\n"
        f"def fn() -> {annotation}: ...\n"
    )
    exec(compile(source, "later.py", "exec"), names)
    assert ltq.Worker("later", broker_url="memory://later").task(names["fn"]).is_async
