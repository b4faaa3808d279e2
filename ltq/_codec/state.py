"""What instances are made of: their attributes, wherever a class keeps them."""

import functools
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ltq._codec.scalars import text_base

_MODEL_SLOTS = ("__pydantic_extra__", "__pydantic_private__")
"""Where a pydantic model keeps attributes that are no fields."""

_MODEL_GIVEN = "__pydantic_fields_set__"
"""Where it keeps the names of fields that were given: this is no part of what it says."""


def state(value: Any) -> dict[str, Any]:
    """The attributes of an instance by name, without those that are computed once and kept."""
    kind: Any = type(value)
    attributes: dict[str, Any] = {}
    for name in slot_names(kind):
        if name in _MODEL_SLOTS:
            attributes.update(getattr(value, name, None) or {})
        elif name != _MODEL_GIVEN and hasattr(value, name):
            attributes[name] = getattr(value, name)
    attributes.update(getattr(value, "__dict__", ()))
    for name in _computed(kind):
        attributes.pop(name, None)
    return attributes


def has_only_vars(kind: type) -> bool:
    """Whether all that instances of a class have is in their `__dict__`."""
    return (
        bool(kind.__flags__ & _HEAP_TYPE)
        and bool(kind.__dictoffset__)
        and not slot_names(kind)
        and not _computed(kind)
        and not _is_of_python(kind)
    )


def is_plain_struct(kind: type) -> bool:
    """Whether all that instances of a class have is in the fields of a Struct."""
    names = getattr(kind, "__struct_fields__", None)
    return names == slot_names(kind) and not kind.__dictoffset__


def is_plain_model(kind: type) -> bool:
    """Whether instances of a pydantic model keep nothing where other models do not."""
    own = {*_MODEL_SLOTS, _MODEL_GIVEN}
    return bool(kind.__dictoffset__) and set(slot_names(kind)) == own and not _computed(kind)


def _is_of_python(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names


def reduced(value: Any) -> tuple[Any, ...] | None:
    """What would rebuild an instance of a class that is not written in Python, or of Python's own.

    None if its attributes say more, and empty if it cannot be told.
    """
    kind: Any = type(value)
    is_native = not kind.__flags__ & _HEAP_TYPE or not (
        hasattr(value, "__dict__") or slot_names(kind)
    )
    if not is_native and not _is_of_python(kind):
        return None
    try:
        found = value.__reduce_ex__(2)
    except Exception:
        return ()
    if not isinstance(found, tuple):
        return ()
    return tuple(list(part) if isinstance(part, Iterator) else part for part in found)


_HEAP_TYPE = 1 << 9
"""CPython's flag of classes that are made at run time."""


@lru_cache(maxsize=1024)
def slot_names(kind: type) -> tuple[str, ...]:
    """The attributes that instances of a class keep outside of `__dict__`.

    What says no more than a value's text is left out: a `Path` keeps its parts, once asked for.
    """
    names = dict.fromkeys(getattr(kind, "__struct_fields__", ()))
    for cls in reversed(kind.__mro__):
        slots = () if text_base(cls) is cls else cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            is_mangled = name.startswith("__") and not name.endswith("__")
            names[f"_{cls.__name__.lstrip('_')}{name}" if is_mangled else name] = None
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


@lru_cache(maxsize=1024)
def _computed(kind: type) -> tuple[str, ...]:
    """The names of a class's cached properties."""
    return tuple(
        name
        for cls in kind.__mro__
        for name, member in cls.__dict__.items()
        if isinstance(member, functools.cached_property)
    )
