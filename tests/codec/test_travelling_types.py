"""Types that travel although msgspec refuses them, and types that are refused at once."""

import array
import asyncio
import collections
import dataclasses
import io
import logging
import re
import threading
import typing
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Reversible,
    Sequence,
)
from datetime import date
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Protocol,
    Required,
    Self,
    TypeVar,
)
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
import typing_extensions
from typing_extensions import ReadOnly, TypedDict, Unpack

from ltq._codec.codec import Codec
from ltq.errors import ConfigurationError
from tests.codec.samples import (
    NOON,
    Box,
    Repo,
    Spoilt,
    T,
    User,
    arrive,
    make,
    refusal,
    taking,
)

ADA = User("ada", date(1815, 12, 10))

MODULE = Path.__module__
"""`pathlib`, or a part of it since Python 3.13."""


@dataclasses.dataclass
class Item:
    owner: Repo | User
    note: str | date = ""
    tags: list[str | date] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    owner: Repo | User
    size: int = 0
    doubled: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "doubled", 2 * self.size)


class Record(msgspec.Struct, rename="camel", tag="rec", kw_only=True):
    the_owner: Repo | User
    the_path: Path = Path("x")


class Row(msgspec.Struct, array_like=True, frozen=True):
    owner: Repo | User
    count: int = 3


class Keys(TypedDict, total=False):
    owner: Required[Repo | User]
    count: Annotated[int, msgspec.Meta(gt=0)]


class Fixed(TypedDict):
    name: ReadOnly[str]
    day: NotRequired[ReadOnly[date]]


class Line(NamedTuple):
    owner: Repo | User
    number: int = 1


@attrs.define
class Made:
    owner: Repo | User
    count: int = 1


@dataclasses.dataclass
class Node:
    owner: Repo | User
    next: "Node | None" = None
    others: "list[Node]" = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Pair(Generic[T]):
    left: T
    owner: Repo | User


@dataclasses.dataclass
class DatePair(Pair[date]):
    right: date


class Linked(msgspec.Struct):
    owner: Repo | User
    next: Self | None = None


Default = typing_extensions.TypeVar("Default", default=date)


@dataclasses.dataclass
class Defaulted(Generic[Default]):
    value: Default


@dataclasses.dataclass
class HasDefaulted:
    inner: Defaulted
    more: list[Defaulted[int]] = dataclasses.field(default_factory=list)


Bound = TypeVar("Bound", bound=Item)
Either = TypeVar("Either", date, Repo)

TRAVEL: list[tuple[Any, Any]] = [
    (Path, Path("a/b")),
    (Path | None, Path("a")),
    (Path | None, None),
    (Path | int, 1),
    (Path | date, date.min),
    (list[Path], [Path("a"), Path("/b")]),
    (dict[str, Path], {"a": Path("a")}),
    (PurePath, PurePath("a")),
    (PurePosixPath, PurePosixPath("/a")),
    (PureWindowsPath, PureWindowsPath("c:\\a")),
    (IPv4Address, ip_address("10.0.0.1")),
    (IPv6Address, ip_address("fe80::1%eth0")),
    (IPv4Address | IPv6Address, ip_address("::1")),
    (IPv6Network, ip_network("::/64")),
    (IPv4Interface, ip_interface("10.0.0.1/24")),
    (Fraction, Fraction(1, 3)),
    (ZoneInfo, ZoneInfo("Europe/Berlin")),
    (Item, Item(Repo("a"))),
    (Item, Item(ADA, date.min, ["a", date.max])),
    (list[Item] | None, [Item(ADA)]),
    (Item | Repo, Item(ADA)),
    (Item | Repo, Repo("a")),
    (Frozen, Frozen(ADA, 4)),
    (Record, Record(the_owner=ADA, the_path=Path("y"))),
    (Record | Item, Record(the_owner=ADA)),
    (Row, Row(ADA)),
    (Keys, {"owner": ADA}),
    (Keys, {"owner": Repo("a"), "count": 1}),
    (Fixed, {"name": "a"}),
    (Fixed, {"name": "a", "day": date.min}),
    (Line, Line(ADA)),
    (Line, Line(Repo("a"), 5)),
    (Made, Made(ADA, 5)),
    (Node, Node(ADA, Node(Repo("a")), [Node(ADA)])),
    (Pair[date], Pair(date.min, ADA)),
    (DatePair, DatePair(date.min, ADA, date.max)),
    (Linked, Linked(ADA, Linked(Repo("a")))),
    (Spoilt[date], Spoilt(date.min, "x")),
    (dataclasses.make_dataclass("Holder", [("value", str | date)]), None),
    (Box[Item], Box(Item(ADA))),
    (Bound, Item(ADA)),
    (Either, date.min),
    (list[Either], [Repo("a")]),  # type: ignore[valid-type]
    (Defaulted, Defaulted(date.min)),
    (list[Defaulted] | None, [Defaulted(date.min)]),
    (Defaulted[int], Defaulted(1)),
    (HasDefaulted, HasDefaulted(Defaulted(date.min), [Defaulted(1)])),
    (Iterable[date], [date.min]),
    (Iterable, [1]),
    (Reversible[int], [1]),
    (Collection[date], [date.min]),
    (Hashable, "a"),
    (typing.SupportsInt, 3),
    (Literal[b"a", "b"], b"a"),
    (Literal[True] | None, True),
    (tuple[int, *tuple[date, ...]], (1, date.min, date.max)),
    (tuple[int, *tuple[date, ...], str], (1, "a")),
    (tuple[*tuple[int, str]], (1, "a")),
]


class Image:
    """Has no fields that anybody knows of."""


@dataclasses.dataclass
class Holder:
    image: Image


@dataclasses.dataclass
class Maybe:
    name: str
    image: Image | None = None


class Slot(msgspec.Struct):
    images: list[Image]


class Entry(TypedDict):
    image: Image


class Place(NamedTuple):
    image: Image


@attrs.define
class Kept:
    image: Image


class Draws(Protocol):
    def draw(self) -> None: ...


NEVER: list[Any] = [
    Image,
    Image | None,
    Image | int | None,
    list[Image],
    dict[str, Image],
    dict[str, list[Image | None]],
    set[Image],
    tuple[Image, ...],
    tuple[int, Image],
    Mapping[str, Image],
    Sequence[Image],
    Iterable[Image],
    Annotated[Image, "a note"],
    NewType("NewImage", Image),
    Holder,
    Holder | None,
    list[Holder],
    Maybe,
    Slot,
    Entry,
    Place,
    Kept,
    Box[Image],
    TypeVar("ImageVar", bound=Image),
    Callable,
    Callable[[int], int],
    Callable[[], int] | None,
    typing.IO[str],
    typing.TextIO,
    io.BytesIO,
    threading.Lock,
    threading.Event,
    asyncio.Event,
    Generator[int, None, None],
    Iterator[int],
    AsyncIterator[int],
    Coroutine[Any, Any, Image],
    Awaitable[Image],
    collections.deque,
    collections.deque[int],
    collections.Counter[str],
    collections.OrderedDict[str, int],
    collections.defaultdict[str, int],
    array.array,
    re.Pattern[str],
    complex,
    range,
    slice,
    type,
    type[int],
    Exception,
    logging.Logger,
    pydantic.SecretStr,
    Draws,
    str | Path,
    list[str | PurePath | None],
    PurePosixPath | PureWindowsPath,
]


class TestTravelling:
    @pytest.mark.parametrize(("hint", "value"), TRAVEL, ids=[str(hint) for hint, _ in TRAVEL])
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        value = hint("x") if value is None and isinstance(hint, type) else value
        got = arrive(taking(hint, codec), value)
        assert got == value
        assert type(got) is type(value)

    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (Path, "a", f"`str` would arrive as `{MODULE}.PosixPath`"),
            (list[Path], [1], f"Expected `{MODULE}.Path`, got `int` - at `value[0]`"),
            (IPv4Address, 1, "Expected `ipaddress.IPv4Address`, got `int`"),
            (Item, Item(ADA, "x", [5]), "`int"),  # type: ignore[list-item]
            (Keys, {"owner": ADA, "count": 0}, "Expected `int` >= 1 - at `value.count`"),
            (Keys, {"count": 1}, "missing required field `owner`"),
            (Row, Row(ADA, "a"), "Expected `int`, got `str`"),  # type: ignore[arg-type]
            (Literal[b"a", "b"], "c", "Invalid enum value of"),
            (tuple[int, *tuple[date, ...]], (), "Expected `tuple[int, "),
            (tuple[int, *tuple[int, str]], (1, 2, "a", 3), "Expected `tuple[int, "),
            (Iterable[int], (one for one in [1]), "cannot encode `generator`"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        assert text in refusal(taking(hint, codec), value)

    def test_a_field_that_is_missing_gets_its_default(self, codec: Codec) -> None:
        owner = {"name": "a", "stars": 0}
        bodies: list[tuple[Any, Any, Any]] = [
            (Item, {"owner": owner}, Item(Repo("a"))),
            (Frozen, {"owner": owner}, Frozen(Repo("a"))),
            (Record, {"type": "rec", "theOwner": owner}, Record(the_owner=Repo("a"))),
            (Made, {"owner": owner}, Made(Repo("a"))),
            (Row, [owner], Row(Repo("a"))),
            (Line, [owner], Line(Repo("a"))),
        ]
        for hint, plain, value in bodies:
            assert taking(hint, codec).read_call([plain], {}) == ((value,), {})


class TestRefused:
    @pytest.mark.parametrize("hint", NEVER, ids=str)
    def test_what_can_never_travel_is_refused_at_once(self, codec: Codec, hint: Any) -> None:
        def returns() -> Any: ...

        returns.__annotations__["return"] = hint
        with pytest.raises(ConfigurationError, match=r"github:fetch: argument 'value': .* travel"):
            taking(hint, codec)
        if hint not in (Awaitable[Image], Coroutine[Any, Any, Image]):
            with pytest.raises(ConfigurationError, match=r"github:fetch: result: `.* travel"):
                make(returns, codec)

    def test_it_is_named_also_within_others(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            taking(dict[str, list[Holder]])
        assert "`Image` has no wire form. Send plain data or a dataclass" in str(caught.value)

    def test_a_text_that_may_be_a_path_or_not_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="`str` and `Path` look alike on the wire"):
            taking(str | Path)

    def test_of_each_kind_of_parameter(self) -> None:
        def positional(*images: Image) -> None: ...

        def named(**images: Image) -> None: ...

        def keys(**entry: Unpack[Entry]) -> None: ...

        for fn, name in ((positional, r"\*images"), (named, r"\*\*images"), (keys, "image")):
            with pytest.raises(ConfigurationError, match=f"argument '{name}': `Image` cannot tra"):
                make(fn)

    def test_what_is_awaited_counts(self) -> None:
        def later() -> Awaitable[date]:
            raise NotImplementedError

        def never() -> Awaitable[Image]:
            raise NotImplementedError

        async def twice() -> Awaitable[date]:
            raise NotImplementedError

        task = make(later)
        assert task.decode_result(task.encode_result(NOON.date())) == NOON.date()
        for fn in (never, twice):
            with pytest.raises(ConfigurationError, match=r"result: `.* cannot travel"):
                make(fn)

    def test_a_parameter_with_a_default_needs_one_arm_that_travels(self, codec: Codec) -> None:
        def partly(
            image: Image | date | None = None, call: Callable[[], int] | None = None
        ) -> None: ...

        def never(image: Image = Image()) -> None: ...  # noqa: B008

        task = make(partly, codec)
        assert task.decode_call(task.encode_call((date.min,), {})) == ((date.min,), {})
        assert f"argument 'image': cannot encode `{Image.__module__}.Image`" in refusal(
            task, Image()
        )
        with pytest.raises(ConfigurationError, match="argument 'image': `Image` cannot travel"):
            make(never, codec)
