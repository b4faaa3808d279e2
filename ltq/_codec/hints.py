"""What an annotation says of a value: its class, and the annotations of the value's parts."""

import collections.abc
import inspect
import types
from functools import lru_cache
from typing import (
    Annotated,
    Any,
    LiteralString,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import msgspec
from typing_extensions import is_typeddict

from ltq._codec.aliases import is_alias, value_of
from ltq._codec.fields import fields_of

SEQUENCES = (
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.Reversible,
)
SETS = (collections.abc.Set, collections.abc.MutableSet)
MAPPINGS = (collections.abc.Mapping, collections.abc.MutableMapping)


class Meaning(NamedTuple):
    """An annotation without what only names or describes it."""

    cls: Any
    """The class that values have; `Any` if nothing is said, `Union` for a union."""
    args: tuple[Any, ...] = ()
    """Its arguments: the arms of a union, the types of elements."""


_ANYTHING = Meaning(Any)


def meaning(hint: Any) -> Meaning:
    """What an annotation means."""
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint = get_args(hint)[0]
        elif (alias := getattr(hint, "__supertype__", None)) is not None:
            hint = alias
        elif is_alias(hint):
            hint = _value_of(hint)
        elif isinstance(hint, TypeVar):
            hint = hint.__bound__ or (Union[hint.__constraints__] if hint.__constraints__ else Any)  # noqa: UP007  arms made at run time
        else:
            break
    if origin in (Union, types.UnionType):
        return Meaning(Union, get_args(hint))
    if hint is LiteralString:
        return Meaning(str)
    cls = type(None) if hint is None else origin or hint
    return (
        Meaning(cls, get_args(hint)) if isinstance(cls, type) and cls is not object else _ANYTHING
    )


@lru_cache(maxsize=1024)
def _value_of(alias: Any) -> Any:
    return value_of(alias)


def field_names(cls: Any) -> tuple[str, ...] | None:
    """The fields of a dataclass, a Struct, an attrs class or a pydantic model; None for others."""
    if (names := getattr(cls, "__struct_fields__", None)) is not None:
        return tuple(names)
    if (fields := getattr(cls, "__dataclass_fields__", None)) is not None:
        return tuple(fields)
    if (fields := getattr(cls, "__attrs_attrs__", None)) is not None:
        return tuple(field.name for field in fields)
    if hasattr(cls, "model_dump") and isinstance(getattr(cls, "model_fields", None), dict):
        return tuple(cls.model_fields)
    return None


def key_hints(cls: Any, args: tuple[Any, ...] = ()) -> dict[str, Any] | None:
    """The annotations of the fields, or of the keys of a TypedDict; None if it has neither.

    `args` are the arguments of a generic class.
    """
    is_named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    if not is_typeddict(cls) and not is_named_tuple and field_names(cls) is None:
        return None
    try:
        return _key_hints(cls, args)
    except TypeError:  # an argument that is not hashable
        return {}


@lru_cache(maxsize=1024)
def _key_hints(cls: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    try:
        if (fields := fields_of(cls[args] if args else cls)) is not None:
            return {field.name: field.type for field in fields.all}
        return {name: field.annotation for name, field in cls.model_fields.items()}
    except Exception:  # a name that only type checkers see: its values are taken as they are
        return {}


def arm_of(arms: tuple[Any, ...], value: Any) -> Any:
    """The arm of a union that a value belongs to; `Any` if that is not one of them."""
    kind = type(value)
    classes = [meaning(arm).cls for arm in arms]
    for cls in kind.__mro__:
        found = [arm for arm, of in zip(arms, classes, strict=True) if of is cls]
        if found:
            return found[0] if len(found) == 1 else Any
    for arm, cls in zip(arms, classes, strict=True):
        is_number = cls is float and isinstance(value, int)
        is_bytes = cls is bytes and isinstance(value, bytearray | memoryview)
        if cls is Union:
            if (inner := arm_of(meaning(arm).args, value)) is not Any:
                return inner
        elif is_number or is_bytes or (inspect.isabstract(cls) and isinstance(value, cls)):
            return arm
    return Any


def set_attribute(value: Any, name: str, part: Any) -> None:
    """Set an attribute of a new copy, also if its class is frozen."""
    if isinstance(value, msgspec.Struct):
        msgspec.structs.force_setattr(value, name, part)
    else:
        object.__setattr__(value, name, part)
