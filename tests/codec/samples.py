"""Types and functions that the tests of the codec have in common."""

import dataclasses
import enum
import json
import typing
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import (
    Any,
    Generic,
    NamedTuple,
    NewType,
    ParamSpec,
    TypedDict,
    TypeVar,
)
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest

from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq.errors import (
    InvalidArgumentsError,
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


def fuzzed(
    a: int,
    b: Repo | User | None = None,
    *c: dict[uuid.UUID, list[date | datetime]],
    d: Any = None,
    **e: Person | str,
) -> list[Repo | User] | set[Mixed]:
    raise NotImplementedError
