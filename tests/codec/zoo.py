"""Classes of every kind that lose something on the way, and what a value of them is made of."""

import dataclasses
import enum
import functools
import uuid
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pydantic.dataclasses

T = TypeVar("T")


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class Odd(enum.Enum):
    ONE = 1
    TRUE = "true"
    NOTHING = None
    PAIR = (1, "x")


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class SafeText(str):
    __slots__ = ("origin",)


class Float64(float): ...


class Whole(int): ...


class Timestamp(datetime): ...


class Day(date): ...


class Money(Decimal): ...


class Key(uuid.UUID): ...


@dataclasses.dataclass
class Plain:
    name: str
    count: int = 0


@dataclasses.dataclass
class Hidden:
    """Its `==` looks at the name only."""

    name: str
    _note: str = dataclasses.field(default="", compare=False)
    price: float | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(eq=False)
class Yes:
    """Equals everything."""

    name: str
    value: Any = None

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


@dataclasses.dataclass
class Made:
    """With a field that its constructor does not take, and an attribute that is no field."""

    name: str
    size: int = dataclasses.field(init=False, default=0, compare=False)

    def __post_init__(self) -> None:
        self.upper = self.name.upper()

    @functools.cached_property
    def slow(self) -> str:
        return self.name * 2


@dataclasses.dataclass
class Growing:
    """Changes when it is made."""

    name: str = dataclasses.field(compare=False)

    def __post_init__(self) -> None:
        self.name += "!"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    inner: Hidden | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Special(Plain):
    extra: str = ""


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@attrs.define
class Attrs:
    name: str
    note: str = attrs.field(default="", eq=False)
    _secret: int = 0


@attrs.define
class Converted:
    number: int = attrs.field(converter=int)
    made: int = attrs.field(init=False, default=3, eq=False)


class Struct(
    msgspec.Struct, rename="camel", tag="s", omit_defaults=True, forbid_unknown_fields=True
):
    first_name: str
    tags: list[Any] = []
    note: str | None = None


class Row(msgspec.Struct, array_like=True, frozen=True, eq=False):
    number: int
    when: datetime | None = None


class Loose(msgspec.Struct, dict=True, eq=False):
    name: str


class Order(pydantic.BaseModel):
    id: int
    card: str = pydantic.Field(default="", exclude=True)
    _token: str = pydantic.PrivateAttr(default="")


class Item(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    price: float = 0.0
    anything: Any = None


class Alias(pydantic.BaseModel):
    number: int = pydantic.Field(default=0, serialization_alias="outNumber")
    text: str = pydantic.Field(default="", validation_alias="inText")
    both: str = pydantic.Field(default="", alias="b")


class Short(pydantic.BaseModel):
    """Writes less than it has."""

    text: str
    day: datetime

    @pydantic.field_serializer("text")
    def _cut(self, text: str) -> str:
        return text[:3]


class Rounded(pydantic.BaseModel):
    value: Annotated[float, pydantic.PlainSerializer(lambda value: round(value, 1))]


class Whole_(pydantic.BaseModel):  # noqa: N801  its name is taken
    value: int

    @pydantic.model_serializer
    def _write(self) -> dict[str, int]:
        return {"value": self.value % 10}


class Area(pydantic.BaseModel):
    width: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def square(self) -> int:
        return self.width**2


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    kind: Literal["dog"] = "dog"
    tags: frozenset[str] = frozenset()


class Kitten(Cat):
    weeks: int = 1


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    others: list[Cat] = []


class Ids(pydantic.RootModel[list[int]]): ...


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


@pydantic.dataclasses.dataclass
class Checked:
    name: str
    note: str = pydantic.Field(default="", exclude=True)


class Keys(TypedDict, total=False):
    name: str
    when: date


class Pair(NamedTuple):
    left: int
    right: Any = None


def content(value: Any) -> Any:
    """What a value is made of, in lists, texts and types only.

    It is slow, and written without a thought of how the library does it.
    """
    kind: Any = type(value)
    if isinstance(value, dict):
        pairs = [[content(key), content(part)] for key, part in value.items()]
        return [kind, sorted(pairs, key=repr)]
    if isinstance(value, set | frozenset):
        return [kind, sorted(map(content, value), key=repr)]
    if isinstance(value, list | tuple):
        return [kind, list(map(content, value))]
    if text := _text(value):
        return [kind, text]
    attributes = _attributes(value)
    if attributes:
        return [kind, [[name, content(part)] for name, part in sorted(attributes.items())]]
    return [kind, repr(value)]


def _text(value: Any) -> str:
    """What a value without parts is; empty for others."""
    if isinstance(value, enum.Enum):
        return value.name or repr(value)
    if isinstance(value, float):
        return "nan" if value != value else value.hex()
    if isinstance(value, Decimal):
        return str(value.as_tuple())
    if isinstance(value, datetime | time):
        return f"{value.replace(tzinfo=None, fold=0).isoformat()} {value.utcoffset()}"
    return repr(value) if isinstance(value, str | int | bytes | date | None) else ""


def _attributes(value: Any) -> dict[str, Any]:
    found = dict(getattr(value, "__dict__", {}))
    found.pop("slow", None)
    for name in ("__pydantic_private__", "__pydantic_extra__"):
        found.update(getattr(value, name, None) or {})
    for names in ("__struct_fields__", "__dataclass_fields__"):
        found.update({name: getattr(value, name) for name in getattr(value, names, ())})
    found.update(
        {one.name: getattr(value, one.name) for one in getattr(value, "__attrs_attrs__", ())}
    )
    return found
