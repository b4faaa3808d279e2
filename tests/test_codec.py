import contextlib
import dataclasses
import enum
import functools
import json
import math
import subprocess
import sys
import threading
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType, ModuleType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NoReturn,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
)
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq._codec.call import CallCodec, Codec
from ltq.codec import Serializer
from ltq.errors import (
    ConfigurationError,
    DecodeError,
    InvalidArgumentsError,
    LtqError,
    ResultError,
)

P = ParamSpec("P")
T = TypeVar("T")


class PlainJson:
    """A user's serializer: the standard library's json, as bytes."""

    def dumps(self, value: Any, /) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes, /) -> Any:
        return json.loads(data)


CODECS = {"json": Codec("json"), "msgpack": Codec("msgpack"), "object": Codec(PlainJson())}


@pytest.fixture(params=list(CODECS))
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param]


def make(
    fn: Callable[..., Any], codec: Codec = CODECS["json"], localns: Mapping[str, Any] | None = None
) -> CallCodec:
    return CallCodec(fn, codec, task_name="github:fetch", localns=localns)


def taking(hint: Any, codec: Codec = CODECS["json"]) -> CallCodec:
    """The codec of a task that takes and returns one value of a type."""

    def identity(value: Any) -> Any: ...

    identity.__annotations__ = {"value": hint, "return": hint}
    return make(identity, codec)


def travel(task: CallCodec, *args: Any, **kwargs: Any) -> Any:
    return task.decode_call(task.encode_call(args, kwargs))


def arrive(task: CallCodec, value: Any) -> Any:
    """The value as it arrives, as an argument; the result must arrive as the same."""
    (got,), _ = travel(task, value)
    returned = task.decode_result(task.encode_result(value))
    assert type(returned) is type(got)
    return got


def refusal(task: CallCodec, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(InvalidArgumentsError) as caught:
        task.encode_call(args, kwargs)
    return str(caught.value)


@dataclasses.dataclass
class Repo:
    name: str
    stars: int = 0


@dataclasses.dataclass
class User:
    name: str
    joined: date


@dataclasses.dataclass(frozen=True)
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class Spoilt(Generic[T]):
    content: T
    value: str | date


@dataclasses.dataclass(eq=False)
class Incomparable:
    name: str
    note: Any = None


class LessComparable(Incomparable): ...


LESS_COMPARABLE = LessComparable("a", date.min)


@dataclasses.dataclass
class Tree:
    value: int
    children: list["Tree"]


class Card(msgspec.Struct, tag=True):
    number: int


class Cash(msgspec.Struct, tag=True):
    amount: Decimal


class Pair(NamedTuple):
    left: int
    right: date


class Options(TypedDict, total=False):
    depth: int
    since: datetime


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class Mixed(enum.Enum):
    """msgspec refuses it: not all values are texts or all whole numbers."""

    HALF = 0.5
    ONE = 1
    PAIR = (1, 2)
    RIAP = (2, 1)
    NAME = "name"


class Person(pydantic.BaseModel):
    name: str
    born: date
    tags: set[str] = set()
    nickname: str | None = pydantic.Field(default=None, alias="nick")


class Company(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    title: str
    founded: datetime
    staff: list[Person] = []


class Secret(pydantic.BaseModel):
    password: pydantic.SecretStr


Json = typing.Union[dict[str, "Json"], list["Json"], str, int, None]  # noqa: UP007  cannot be |
UserId = NewType("UserId", int)
When = NewType("When", str | datetime)  # type: ignore[valid-newtype]
NOON = datetime(2024, 5, 17, 12, 30, 15, 123456)
NOON_UTC = NOON.replace(tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
NOON_INDIA = NOON.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))
KEY = uuid.UUID("0189c6f1-9d1b-7c8e-a111-222233334444")
ADA = Person(name="Ada", born=date(1815, 12, 10), tags={"a", "b"}, nick="Countess")

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
    # unions that msgspec refuses
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


class TestTypes:
    @pytest.mark.parametrize(("hint", "value"), VALUES)
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        got = arrive(taking(hint, codec), value)
        assert got == value
        assert type(got) is type(value)

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

    def test_keys_may_be_of_a_union(self) -> None:
        value: dict[Any, int] = {KEY: 1, "x": 2}
        for name in ("json", "msgpack"):
            assert arrive(taking(dict[uuid.UUID | str, int], CODECS[name]), value) == value
        message = refusal(taking(dict[uuid.UUID | str, int], CODECS["object"]), {KEY: 1})
        assert "`UUID` would arrive as `str`" in message

    def test_values_of_one_kind_may_stand_for_another(self, codec: Codec) -> None:
        assert arrive(taking(float, codec), 1) == 1.0
        assert arrive(taking(Sequence[int], codec), (1, 2)) == [1, 2]
        assert arrive(taking(Any, codec), (1, (2, 3))) == [1, [2, 3]]
        assert arrive(taking(int, codec), Level.LOW) == 1
        assert arrive(taking(bytes, codec), bytearray(b"x")) == b"x"

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
        assert "argument 'value': too cold" in refusal(task, Celsius(-300))

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

    def test_a_moment_whose_offset_has_seconds_is_refused_by_json(self) -> None:
        moment = datetime(1800, 1, 1, tzinfo=PARIS)
        assert "`datetime` would arrive changed" in refusal(taking(datetime), moment)
        assert arrive(taking(datetime, CODECS["msgpack"]), moment) == moment
        first = datetime.min.replace(tzinfo=PARIS)
        assert "`datetime` would arrive changed" in refusal(taking(datetime), first)

    def test_nan_travels_where_the_format_can_carry_it(self) -> None:
        for codec in (CODECS["msgpack"], CODECS["object"]):
            assert math.isnan(arrive(taking(float, codec), math.nan))
            assert math.isnan(arrive(taking(Any, codec), [math.inf, math.nan])[1])

    def test_messagepack_carries_bytes_and_moments_without_annotation(self) -> None:
        value = {1: b"x", "at": NOON_UTC}
        assert arrive(taking(Any, CODECS["msgpack"]), value) == value

    def test_data_of_another_version_goes_to_the_first_arm_that_fits(self) -> None:
        body = b'[[{"name": "a"}], {}]'  # sent before Repo had `stars`
        assert taking(User | Repo).decode_call(body) == ((Repo("a"),), {})

    def test_the_choice_among_arms_does_not_depend_on_the_order_of_data(self) -> None:
        body = b'[[{"stars": 1, "name": "a"}, [3, 1, 2]], {}]'

        def fetch(repo: Repo | dict[str, Any], ids: set[int] | list[int]) -> None: ...

        assert make(fetch).decode_call(body) == ((Repo("a", 1), {1, 2, 3}), {})


class TestWire:
    def test_json_reads_like_the_call(self) -> None:
        def fetch(repo: str, *, depth: int = 1) -> None: ...

        assert make(fetch).encode_call(("a/b",), {"depth": 2}) == b'[["a/b"],{"depth":2}]'

    def test_no_arguments_are_an_empty_call(self) -> None:
        def fetch() -> None: ...

        assert make(fetch).encode_call((), {}) == b"[[],{}]"
        assert make(fetch).decode_call(b"[[],{}]") == ((), {})

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
        assert "'b': `UUID` would arrive as `str`" in refusal(task, b=KEY, a=1)

    @pytest.mark.parametrize("serializer", ["pickle", "", None, 5, object()])
    def test_any_other_serializer_is_a_configuration_error(self, serializer: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"serializer=.* is not allowed") as caught:
            Codec(serializer)
        assert '"json", "msgpack", or an object with dumps and loads' in str(caught.value)

    def test_an_object_with_dumps_and_loads_is_a_serializer(self) -> None:
        serializer: Serializer = PlainJson()
        assert taking(int, Codec(serializer)).encode_call((1,), {}) == b"[[1], {}]"

    def test_a_decoder_is_made_once_per_type(self) -> None:
        codec = Codec()
        assert codec.decoder(list[Repo]) is codec.decoder(list[Repo])

    def test_a_type_that_cannot_be_hashed_has_a_decoder(self) -> None:
        assert arrive(taking(Annotated[int, []]), 5) == 5


class TestSignatures:
    def test_arguments_stay_as_they_were_given(self, codec: Codec) -> None:
        def fetch(a: int, /, b: date, *rest: date, c: date = date.min, **more: Repo) -> None: ...

        day, task = date(2024, 1, 1), make(fetch, codec)
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((1, day), {}),
            ((1,), {"b": day}),
            ((1, day, day, day), {"c": day}),
            ((1, day), {"a": Repo("positional only leaves its name free"), "d": Repo("x")}),
        ]
        for args, kwargs in calls:
            assert travel(task, *args, **kwargs) == (args, kwargs)

    def test_a_default_does_not_travel(self) -> None:
        def fetch(repo: str, depth: Any = threading.Lock()) -> None: ...  # noqa: B008

        assert make(fetch).encode_call(("x",), {}) == b'[["x"],{}]'

    @pytest.mark.parametrize(
        ("args", "kwargs", "text"),
        [
            ((), {}, "missing a required argument: 'a'"),
            ((1,), {}, "missing a required argument: 'c'"),
            ((1, 2, 3), {"c": 1}, "too many positional arguments"),
            ((1,), {"c": 1, "nope": 1}, "got an unexpected keyword argument 'nope'"),
            ((1,), {"b": 1, "a": 1, "c": 1}, "'a'"),
            ((1, 2), {"b": 1, "c": 1}, "multiple values for argument 'b'"),
        ],
    )
    def test_a_call_that_does_not_fit_is_neither_sent_nor_read(
        self, codec: Codec, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
    ) -> None:
        def fetch(a: int, /, b: int = 0, *, c: int) -> None: ...

        task = make(fetch, codec)
        message = refusal(task, *args, **kwargs)
        assert message.startswith("github:fetch: ")
        assert text in message
        with pytest.raises(DecodeError, match=text):
            task.decode_call(codec.encode((args, kwargs)))

    def test_keyword_arguments_of_a_typed_dict_are_checked(self, codec: Codec) -> None:
        class More(TypedDict):
            repo: Repo
            depth: "int"

        def fetch(a: int, **kwargs: Unpack[More]) -> None: ...

        def narrow(**kwargs: Unpack[Options]) -> None: ...

        task = make(fetch, codec, locals())
        assert travel(task, 1, repo=Repo("x"), depth=1) == ((1,), {"repo": Repo("x"), "depth": 1})
        assert "missing a required argument: 'depth'" in refusal(task, 1, repo=Repo("x"))
        assert "argument 'depth': Expected `int`" in refusal(task, 1, repo=Repo("x"), depth="x")
        assert "unexpected keyword argument 'x'" in refusal(make(narrow, codec), depth=1, x=1)
        assert travel(make(narrow, codec), since=NOON) == ((), {"since": NOON})

    def test_many_shapes_of_call_do_not_pile_up(self) -> None:
        def fetch(*args: int, **kwargs: int) -> None: ...

        task = make(fetch)
        for count in range(400):
            assert travel(task, *range(count)) == (tuple(range(count)), {})
            assert travel(task, **{f"k{count}": 1}) == ((), {f"k{count}": 1})
        assert len(task._plans) <= 256

    def test_keywords_may_come_in_any_mapping(self) -> None:
        def fetch(a: int, b: int) -> None: ...

        assert make(fetch).encode_call((1,), MappingProxyType({"b": 2})) == b'[[1],{"b":2}]'

    def test_a_partial_and_a_callable_object_have_the_signature_left(self) -> None:
        class Fetcher:
            def __call__(self, repo: str, since: date) -> Repo:
                raise NotImplementedError

        def fetch(repo: str, since: date) -> Repo:
            raise NotImplementedError

        callables: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (Fetcher(), ("x", date(2024, 1, 1))),
            (functools.partial(fetch, "x"), (date(2024, 1, 1),)),
            (functools.partial(Fetcher(), "x"), (date(2024, 1, 1),)),
        ]
        for fn, args in callables:
            task = make(fn)
            assert travel(task, *args) == (args, {})
            assert "Expected `date`, got `int`" in refusal(task, *args[:-1], 5)
            assert task.decode_result(task.encode_result(Repo("a"))) == Repo("a")

    def test_a_wrapper_typed_by_the_arguments_of_another_takes_anything(self) -> None:
        def wrap(fn: Callable[P, T]) -> Callable[P, T]:
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
                raise NotImplementedError

            return wrapper

        assert travel(make(wrap(fuzzed)), 1, b=[2]) == ((1,), {"b": [2]})

    def test_a_wrapped_function_has_the_signature_of_what_it_wraps(self) -> None:
        def fetch(since: date) -> None: ...

        @functools.wraps(fetch)
        def wrapper(*args: Any, **kwargs: Any) -> Any: ...

        assert travel(make(wrapper), date(2024, 1, 1)) == ((date(2024, 1, 1),), {})

    def test_a_function_without_signature_is_a_configuration_error(self) -> None:
        with pytest.raises(ConfigurationError, match="github:fetch: cannot read its signature"):
            make(min)


class TestRefusedArguments:
    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (str, 5, "Expected `str`, got `int`"),
            (int, True, "Expected `int`, got `bool`"),
            (int, 1.5, "Expected `int`, got `float`"),
            (int, None, "Expected `int`, got"),
            (Repo, {"stars": 1}, "missing required field `name`"),
            (dict[str, list[int]], {"a": [1, "x"]}, "Expected `int`, got `str` - at `$[...][1]`"),
            (Annotated[int, msgspec.Meta(ge=0)], -1, "Expected `int` >= 0"),
            (Literal["a"], "b", "Invalid enum value 'b'"),
            (Color, "green", "Invalid enum value 'green'"),
            (Mixed, "green", "Invalid enum value of `Mixed`"),
            (Repo | User, 5, "User`, got `int`"),
            (list[str | date], ["a", 5], "got `int` - at `$[1]`"),
            (Person, {"name": 5}, "name: Input should be a valid string; born: Field required"),
        ],
    )
    def test_a_value_of_a_wrong_type_is_named(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        message = refusal(taking(hint, codec), value)
        assert message.startswith("github:fetch: argument 'value': ")
        assert text in message

    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (str, KEY, "`UUID` would arrive as `str`"),
            (datetime, NOON.isoformat(), "`str` would arrive as `datetime`"),
            (Repo, {"name": "x"}, "`dict` would arrive as `Repo`"),
            (Any, NOON, "`datetime` would arrive as `str`"),
            (Any, Repo("x"), "`Repo` would arrive as `dict`"),
            (Any, {1, 2}, "`set` would arrive as `list`"),
            (object, Decimal(1), "`Decimal` would arrive as `str`"),
            (
                dict[str, Any],
                {"a": [1, {"b": KEY}]},
                "`UUID` would arrive as `str` - at `$.a[1].b`",
            ),
            (Incomparable, Incomparable("a", KEY), "`UUID` would arrive as `str` - at `$.note`"),
            (Annotated[Incomparable, "x"], LESS_COMPARABLE, "would arrive as `str` - at `$.note`"),
            (tuple[int, str], Pair(1, date.min), "`date` would arrive as `str` - at `$[1]`"),
            (Options, {"depth": 1, "x": 2}, "`dict` would arrive changed"),
            (list[Any], iter(()), "cannot encode `tuple_iterator`"),
            (Secret, Secret(password=pydantic.SecretStr("x")), "`SecretStr` would arrive changed"),
            # unions: a value that would come out as another arm
            (str | datetime, NOON.isoformat(), "`str` would arrive as `datetime`"),
            (str | uuid.UUID, str(KEY), "`str` would arrive as `UUID`"),
            (list[str | Decimal], ["a", "1.5"], "`str` would arrive as `Decimal` - at `$[1]`"),
            (set[int] | list[int], [1, 2], "`list` would arrive as `set`"),
            (tuple[int, ...] | list[int], [1], "`list` would arrive as `tuple`"),
            (Repo | dict[str, Any], {"name": "a", "stars": 1}, "`dict` would arrive as `Repo`"),
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

    def test_arms_that_look_alike_are_told_apart_when_sent(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Twin:
            name: str
            stars: int = 0

        assert "`Twin` would arrive as `Repo`" in refusal(
            taking(Repo | Twin, codec), Twin("a")
        ).replace(Twin.__qualname__, "Twin")

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
    @pytest.mark.parametrize("hint", [float, Any, float | None, int | None, Repo | None], ids=str)
    def test_json_does_not_turn_nan_into_none(self, hint: Any, value: float) -> None:
        message = refusal(taking(hint), value)
        assert message == f"github:fetch: argument 'value': `{value}` would arrive as `None`"

    def test_json_does_not_turn_nan_inside_a_container_into_none(self) -> None:
        text = "argument 'value': `nan` would arrive as `None` - at `$.a[0]`"
        for hint in (Any, dict[str, list[float]], dict[str, list[float | None]]):
            assert text in refusal(taking(hint), {"a": [math.nan]})
        assert "`nan` would" in refusal(taking(Box[float | None]), Box(math.nan))

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (lambda: None, "function"),
            (threading.Lock(), "lock"),
            ((i for i in ""), "generator"),
            (object(), "object"),
            (1j, "complex"),
            (Repo, "type"),
            (Person, "ModelMetaclass"),
            ([1, {"a": threading.Lock()}], "list"),
        ],
    )
    def test_what_cannot_be_encoded_is_named_with_its_type(
        self, codec: Codec, value: Any, kind: str
    ) -> None:
        def fetch(a: int, *rest: Any, **more: Any) -> None: ...

        task = make(fetch, codec)
        for message, name in [
            (refusal(task, 1, 2, value), "*rest[1]"),
            (refusal(task, 1, more=value), "more"),
        ]:
            assert f"github:fetch: argument '{name}': cannot encode `{kind}`" in message

    @pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}], ids=ascii)
    def test_what_the_wire_cannot_carry_is_refused(self, value: Any) -> None:
        for name in ("json", "msgpack"):
            assert "argument 'value': cannot encode" in refusal(taking(Any, CODECS[name]), value)

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**4000], ids=["2^64", "-2^63", "big"])
    def test_a_large_number_arrives_whole_or_is_refused(self, value: int) -> None:
        for name in ("json", "object"):
            assert arrive(taking(int, CODECS[name]), value) == value
        assert "cannot encode `int`: Overflow" in refusal(taking(int, CODECS["msgpack"]), value)

    def test_a_number_of_more_digits_than_python_prints_is_refused(self, codec: Codec) -> None:
        assert "argument 'value': cannot encode `int`" in refusal(taking(int, codec), 10**5000)

    def test_nesting_without_end_is_refused(self, codec: Codec) -> None:
        endless: list[Any] = []
        endless.append(endless)
        assert "cannot encode `list`: RecursionError" in refusal(taking(Any, codec), endless)

    @pytest.mark.parametrize("depth", [100, 200, 300, 400, 600, 900, 990, 1100])
    def test_deep_nesting_is_sent_or_refused(self, codec: Codec, depth: int) -> None:
        for inmost in (1, math.nan, KEY):
            value: Any = inmost
            for _ in range(depth):
                value = [value]
            for hint in (Any, list[Any], str, Repo | dict[str, Any]):
                task = taking(hint, codec)
                with contextlib.suppress(InvalidArgumentsError):
                    task.decode_call(task.encode_call((value,), {}))
                with contextlib.suppress(ResultError):
                    task.decode_result(task.encode_result(value))

    def test_a_check_of_the_class_itself_is_heard(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Even:
            number: int

            def __post_init__(self) -> None:
                if self.number % 2:
                    raise ArithmeticError("odd")

        even = Even(2)
        even.number = 3
        assert "argument 'value': ArithmeticError: odd" in refusal(taking(Even, codec), even)

    def test_a_class_that_changes_itself_on_the_way_is_refused(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Growing:
            name: str

            def __post_init__(self) -> None:
                self.name += "!"

        message = refusal(taking(Growing, codec), Growing("a"))
        assert "`str` would arrive changed - at `$.name`" in message

    def test_the_error_is_a_type_error_of_the_package(self) -> None:
        with pytest.raises(TypeError) as caught:
            taking(int).encode_call(("x",), {})
        assert isinstance(caught.value, LtqError)
        assert isinstance(caught.value.__cause__, msgspec.ValidationError)


class TestResults:
    def test_no_annotation_means_plain_data(self) -> None:
        def fetch():  # type: ignore[no-untyped-def]
            ...

        task = make(fetch)
        value = {"at": NOON, 1: (KEY, {5}), "repo": Repo("a")}
        assert task.decode_result(task.encode_result(value)) == {
            "at": NOON.isoformat(),
            "1": [str(KEY), [5]],
            "repo": {"name": "a", "stars": 0},
        }

    def test_none_is_null_and_no_bytes_are_none(self, codec: Codec) -> None:
        async def fetch() -> None: ...

        task = make(fetch, codec)
        assert task.decode_result(task.encode_result(None)) is None
        assert task.decode_result(b"") is None
        assert make(fetch).encode_result(None) == b"null"
        with pytest.raises(ResultError, match="github:fetch: result: Expected `null`, got `int`"):
            task.encode_result(5)

    def test_async_functions_are_read_alike(self, codec: Codec) -> None:
        async def fetch() -> list[Repo]:
            raise NotImplementedError

        task = make(fetch, codec)
        assert task.decode_result(task.encode_result([Repo("a")])) == [Repo("a")]

    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (int, "x", "Expected `int`, got `str`"),
            (list[Repo], [{"stars": 1}], "missing required field `name` - at `$[0]`"),
            (Any, threading.Lock(), "cannot encode `lock`"),
            (str | datetime, NOON.isoformat(), "`str` would arrive as `datetime`"),
            (datetime, NOON.isoformat(), "`str` would arrive as `datetime`"),
        ],
    )
    def test_a_wrong_result_is_named_where_it_was_made(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        with pytest.raises(ResultError) as caught:
            taking(hint, codec).encode_result(value)
        assert str(caught.value).startswith("github:fetch: result: ")
        assert text in str(caught.value)

    @pytest.mark.parametrize("hint", [float, Any, float | None], ids=str)
    def test_json_does_not_turn_a_result_of_nan_into_none(self, hint: Any) -> None:
        with pytest.raises(ResultError, match="result: `nan` would arrive as `None`"):
            taking(hint).encode_result(math.nan)

    def test_bytes_of_another_type_are_a_decode_error(self, codec: Codec) -> None:
        data = taking(str, codec).encode_result("x")
        with pytest.raises(DecodeError, match="github:fetch: result: Expected `int`, got `str`"):
            taking(int, codec).decode_result(data)

    def test_a_function_that_never_returns_has_a_codec(self) -> None:
        def fetch() -> NoReturn:
            raise NotImplementedError

        assert make(fetch).decode_call(b"[[],{}]") == ((), {})


class Postponed:
    """A module with postponed annotations, run piece by piece."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._module = ModuleType("postponed")
        monkeypatch.setitem(sys.modules, "postponed", self._module)

    def run(self, source: str) -> Any:
        head = "from __future__ import annotations\n"
        exec(compile(head + source, "postponed.py", "exec"), self._module.__dict__)
        return self._module


@pytest.fixture
def postponed(monkeypatch: pytest.MonkeyPatch) -> Postponed:
    return Postponed(monkeypatch)


FIRST_USES: dict[str, Callable[[CallCodec], object]] = {
    "encode_call": lambda task: task.encode_call((1,), {}),
    "decode_call": lambda task: task.decode_call(b"[[1],{}]"),
    "decode_result": lambda task: task.decode_result(b"1"),
    "encode_result": lambda task: task.encode_result(1),
    "resolve": lambda task: task.resolve(),
}


class TestAnnotations:
    def test_postponed_annotations_are_resolved(self, codec: Codec, postponed: Postponed) -> None:
        fetch = postponed.run(
            "from datetime import date\nimport typing\n"
            "def fetch(day: date, *more: typing.Optional[date], **days: list[date]) -> date: ..."
        ).fetch
        day, task = date(2024, 1, 1), make(fetch, codec)
        assert travel(task, day, None, x=[day]) == ((day, None), {"x": [day]})
        assert task.decode_result(task.encode_result(day)) == day

    def test_classes_of_the_calling_function_are_found(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Local:
            day: date

        def fetch(local: "Local", *, more: "list[Local] | None" = None) -> "dict[str, Local]":
            raise NotImplementedError

        task, local = make(fetch, codec, locals()), Local(date(2024, 1, 1))
        assert travel(task, local, more=[local]) == ((local,), {"more": [local]})

    @pytest.mark.parametrize("first_use", FIRST_USES)
    def test_a_name_defined_later_is_found_at_the_first_use(
        self, first_use: str, postponed: Postponed
    ) -> None:
        task = make(postponed.run("def fetch(x: Later) -> Later: ...").fetch)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"github:fetch: .* 'Later' is not"):
                FIRST_USES[first_use](task)
        postponed.run("Later = int")
        FIRST_USES[first_use](task)
        assert "Expected `int`" in refusal(task, "x")

    def test_a_field_whose_class_is_defined_later_is_found_at_the_first_use(
        self, postponed: Postponed
    ) -> None:
        made = postponed.run(
            "import dataclasses\n"
            "@dataclasses.dataclass\nclass Early:\n    x: Later\n"
            "def fetch(x: Early) -> None: ..."
        )
        task = make(made.fetch)
        with pytest.raises(ConfigurationError, match="Later"):
            task.resolve()
        postponed.run("Later = int")
        assert travel(task, made.Early(1)) == ((made.Early(1),), {})

    def test_a_name_for_type_checkers_only_is_a_configuration_error(
        self, postponed: Postponed
    ) -> None:
        fetch = postponed.run(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n"
            "def fetch(x: nowhere.Thing) -> None: ..."
        ).fetch
        with pytest.raises(ConfigurationError, match=r"github:fetch: .* 'nowhere' is not defined"):
            make(fetch).encode_call((1,), {})

    def test_a_missing_attribute_is_a_configuration_error(self) -> None:
        def fetch(x: "uuid.Nope") -> None: ...  # type: ignore[name-defined]

        with pytest.raises(ConfigurationError, match=r"github:fetch: .*'Nope'"):
            make(fetch).resolve()

    def test_an_annotation_that_is_no_type_is_a_configuration_error(self) -> None:
        def fetch(x: "not a type") -> None: ...  # type: ignore[valid-type]  # noqa: F722

        with pytest.raises(ConfigurationError, match="github:fetch: cannot read its signature"):
            make(fetch)

    @pytest.mark.parametrize(
        "hint",
        [
            list[Annotated[str | date, msgspec.Meta(max_length=3)]],
            dataclasses.make_dataclass("Holder", [("value", str | date)]),
            Spoilt[str | date],
            enum.Enum,
        ],
    )
    def test_a_type_that_cannot_travel_is_a_configuration_error(
        self, codec: Codec, hint: Any
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            taking(hint, codec)
        message = str(caught.value)
        assert message.startswith("github:fetch: argument 'value': `")
        assert "cannot travel" in message
        assert "msgspec.Struct classes with tag=True" in message

    def test_a_result_that_cannot_travel_is_a_configuration_error(self) -> None:
        def fetch() -> enum.Enum:
            raise NotImplementedError

        with pytest.raises(ConfigurationError, match="github:fetch: result: `Enum` cannot travel"):
            make(fetch)

    def test_a_parameter_that_is_never_sent_may_have_any_type(self, codec: Codec) -> None:
        def fetch(
            repo: str,
            lock: threading.Event | str | None = None,
            call: Callable[[int], int] | None = None,
        ) -> None: ...

        task = make(fetch, codec)
        assert travel(task, "x", None) == (("x", None), {})
        assert travel(task, "x", "y") == (("x", "y"), {})
        assert "argument 'lock': cannot encode `Event`" in refusal(task, "x", threading.Event())


BODIES = [
    b"",
    b"null",
    b"{}",
    b"[]",
    b"[[],{}",
    b"[[],[]]",
    b"[{},{}]",
    b'[["x"],{}]',
    b"[[1],{}] trailing",
    b"[[1e999],{}]",
    b"[[" + b"1" * 5000 + b"],{}]",
    b"[[NaN],{}]",
    b'[["\xff"],{}]',
    b'[["\\ud800"],{}]',
    b"[" * 100_000,
    b"[[" + b"[" * 100_000,
    b'[[{"a":' * 50_000,
    b"\x92\x91" + b"\x91" * 100_000,
    b"\x92\xdd\xff\xff\xff\xff",
    b"\x80\x04K\x01.",
    b"[[1],{}]\x00",
]


def fuzzed(
    a: int,
    b: Repo | User | None = None,
    *c: dict[uuid.UUID, list[date | datetime]],
    d: Any = None,
    **e: Person | str,
) -> list[Repo | User] | set[Mixed]:
    raise NotImplementedError


class TestUndecodable:
    @pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
    def test_a_malformed_body_raises_only_a_decode_error(self, codec: Codec, body: bytes) -> None:
        for task in (make(fuzzed, codec), taking(str, codec)):
            for decode in (task.decode_call, task.decode_result):
                with contextlib.suppress(DecodeError):
                    decode(body)

    def test_the_argument_at_fault_is_named(self, codec: Codec) -> None:
        body = codec.encode(([1, None, {}, {"x": 1}], {"d": 1}))
        with pytest.raises(DecodeError, match=r"^github:fetch: argument '\*c\[1\]': "):
            make(fuzzed, codec).decode_call(body)

    @given(st.binary())
    def test_any_bytes_raise_only_a_decode_error(self, body: bytes) -> None:
        for codec in CODECS.values():
            task = make(fuzzed, codec)
            for decode in (task.decode_call, task.decode_result):
                with contextlib.suppress(DecodeError):
                    decode(body)

    @given(st.data())
    def test_any_spoilt_body_raises_only_a_decode_error(self, data: st.DataObject) -> None:
        codec = CODECS[data.draw(st.sampled_from(list(CODECS)))]
        task = make(fuzzed, codec)
        body = task.encode_call(
            (1, Repo("a", 2), {KEY: [date(2024, 1, 1), NOON_UTC]}), {"d": [None, 1.5], "e": ADA}
        )
        at = data.draw(st.integers(0, len(body) - 1))
        end = data.draw(st.integers(at, min(len(body), at + 8)))
        spoilt = body[:at] + data.draw(st.binary(max_size=8)) + body[end:]
        for decode in (task.decode_call, task.decode_result):
            with contextlib.suppress(DecodeError):
                decode(spoilt)

    def test_a_serializer_may_raise_and_return_anything(self) -> None:
        class Broken:
            def __init__(self, answer: Any) -> None:
                self.answer = answer

            def dumps(self, value: Any, /) -> Any:
                return self.loads(b"")

            def loads(self, data: bytes, /) -> Any:
                if isinstance(self.answer, Exception):
                    raise self.answer
                return self.answer

        for answer in (KeyError("x"), None, 5, [1], [[1]], "text", [[1], {1: 2}], object()):
            task = make(fuzzed, Codec(Broken(answer)))
            with pytest.raises(DecodeError):
                task.decode_call(b"x")
            with pytest.raises(InvalidArgumentsError):
                task.encode_call((1,), {})
            with pytest.raises(ResultError):
                task.encode_result([])

    def test_an_error_of_the_users_class_is_a_decode_error(self) -> None:
        @dataclasses.dataclass
        class Picky:
            name: str

            def __post_init__(self) -> None:
                raise LookupError("not found")

        with pytest.raises(DecodeError, match="argument 'value': LookupError: not found"):
            taking(Picky).decode_call(b'[[{"name":"x"}],{}]')


def test_importing_the_codec_does_not_import_pydantic() -> None:
    script = "import sys, ltq._codec.call; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestMaxPayload:
    def test_arguments_beyond_it_are_refused(self) -> None:
        def keep(text: str) -> None: ...

        calls = CallCodec(keep, Codec("json", 100), task_name="shop:keep")
        calls.encode_call(("x" * 80,), {})
        with pytest.raises(InvalidArgumentsError, match=r"shop:keep.*max_payload is 100"):
            calls.encode_call(("x" * 100,), {})

    def test_a_result_beyond_it_fails(self) -> None:
        def give() -> str:
            return ""

        calls = CallCodec(give, Codec("json", 100), task_name="shop:give")
        with pytest.raises(ResultError, match=r"102 bytes, but max_payload is 100"):
            calls.encode_result("x" * 100)
