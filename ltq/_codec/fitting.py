"""Values as their annotations have them: what the classes of values add to these is left out.

`True` for an `int` is 1, a `SafeString` for a `str` is a plain text, a tuple for a `Sequence` is a
list. That is slow, so it is done only for a value that does not arrive as it is.
"""

import collections.abc
import logging
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any, Union

from typing_extensions import is_typeddict

from ltq._codec.difference import type_path
from ltq._codec.hints import (
    MAPPINGS,
    SEQUENCES,
    SETS,
    arm_of,
    field_names,
    key_hints,
    meaning,
    set_attribute,
)
from ltq._codec.scalars import as_scalar, is_scalar
from ltq._codec.state import slot_names

logger = logging.getLogger("ltq.task")

Cut = Callable[[type, type], None]
"""Is told of each class of objects that is cut down to the annotated base class."""

Told = tuple[str, type, type]
"""Where an object is cut down to a base class, its class, and the base class."""

_MAX_TOLD = 100
"""Most classes of each task that the log tells of."""


class Fitter:
    """Makes the arguments and results of one task what their annotations say.

    Not safe for threads, except that the log may then tell of a class twice, or not at all.
    """

    def __init__(self, task_name: str) -> None:
        self._task_name = task_name
        self._told: set[Told] = set()

    def fit(self, label: str, hint: Any, value: Any, told: list[Told] | None = None) -> Any:
        """A value as its annotation has it; the value itself if that cannot be told.

        `label` names the value for `tell`, and `told` receives what there is to tell.
        """

        def cut(kind: type, base: type) -> None:
            if told is not None:
                told.append((label, kind, base))

        with suppress(Exception):  # from anybody's class
            return fit(hint, value, cut)
        return value

    def tell(self, told: list[Told]) -> None:
        """Log, once for each class, of objects that travel as their annotated base class."""
        for label, kind, base in told:
            if (label, kind, base) not in self._told and len(self._told) < _MAX_TOLD:
                self._told.add((label, kind, base))
                logger.warning(
                    "%s: %s: `%s` travels as `%s`, as annotated, without what it adds to that",
                    self._task_name,
                    label,
                    type_path(kind),
                    type_path(base),
                )


def fit(hint: Any, value: Any, cut: Cut) -> Any:
    """A value as its annotation has it; the value itself if there is nothing to change.

    A part that does not fit the annotation stays as it is.
    """
    cls, args = meaning(hint)
    if cls is Any:
        return value
    if cls is Union:
        return fit(arm_of(args, value), value, cut)
    if is_scalar(cls):
        return as_scalar(cls, value)
    if (hints := key_hints(cls, args)) is not None:
        return _fit_fields(cls, hints, value, cut)
    return _fit_container(cls, args, value, cut)


def _fit_container(cls: Any, args: tuple[Any, ...], value: Any, cut: Cut) -> Any:
    if cls in (list, *SEQUENCES):
        return _fit_elements(_plain_sequence(cls, value), args, value, cut)
    if cls is tuple and isinstance(value, tuple):
        return _fit_tuple(args, value, cut)
    if cls in (set, *SETS) and isinstance(value, set if cls is set else collections.abc.Set):
        return _fit_elements(set, args, value, cut)
    if cls is frozenset and isinstance(value, frozenset):
        return _fit_elements(frozenset, args, value, cut)
    if (cls is dict and isinstance(value, dict)) or (
        cls in MAPPINGS and isinstance(value, collections.abc.Mapping)
    ):
        key_hint, value_hint = args or (Any, Any)
        fitted = {fit(key_hint, k, cut): fit(value_hint, v, cut) for k, v in value.items()}
        if type(value) is not dict and len(fitted) == len(value):
            return fitted
        pairs = zip(fitted.items(), value.items(), strict=False)
        is_kept = all(k is x and v is y for (k, v), (x, y) in pairs)
        return value if is_kept or len(fitted) != len(value) else fitted
    return value


def _plain_sequence(cls: Any, value: Any) -> Callable[[Any], Any] | None:
    """What makes a list of a value that stands for one; None if it does not."""
    if cls is list:
        return list if isinstance(value, list) else None
    is_text = isinstance(value, str | bytes | bytearray | memoryview)
    is_set = isinstance(value, collections.abc.Set | collections.abc.Mapping)
    is_whole = isinstance(value, collections.abc.Collection)  # an iterator would be used up
    return list if is_whole and not (is_text or is_set) else None


def _fit_elements(
    make: Callable[[Any], Any] | None, args: tuple[Any, ...], value: Any, cut: Cut
) -> Any:
    if make is None:
        return value
    hint = args[0] if args else Any
    elements = list(value)
    fitted = [fit(hint, element, cut) for element in elements]
    if type(value) is make and all(map(_is, elements, fitted)):
        return value
    made = make(fitted)
    return made if len(made) == len(elements) else value


def _fit_tuple(args: tuple[Any, ...], value: Any, cut: Cut) -> Any:
    elements = tuple(value)
    if len(args) == 2 and args[1] is ...:
        hints = args[:1] * len(elements)
    else:
        hints = args if len(args) == len(elements) else (Any,) * len(elements)
    fitted = tuple(fit(hint, one, cut) for hint, one in zip(hints, elements, strict=True))
    return value if type(value) is tuple and all(map(_is, elements, fitted)) else fitted


def _is(a: Any, b: Any) -> bool:
    return a is b


def _fit_fields(cls: Any, hints: dict[str, Any], value: Any, cut: Cut) -> Any:
    """The same for an object with fields, a TypedDict or a NamedTuple."""
    if is_typeddict(cls):
        return _fit_keys(hints, value, cut) if isinstance(value, dict) else value
    if not isinstance(value, cls):
        return value
    if issubclass(cls, tuple):
        return _fit_named_tuple(cls, hints, value, cut)
    parts = {name: getattr(value, name, None) for name in field_names(cls) or ()}
    fitted = {name: fit(hints.get(name, Any), part, cut) for name, part in parts.items()}
    changed = {name: part for name, part in fitted.items() if part is not parts[name]}
    if type(value) is not cls:
        cut(type(value), cls)
        value = _as_base(cls, value)
    elif changed:
        value = copy(value)
    for name, part in changed.items():
        set_attribute(value, name, part)
    return value


def _fit_named_tuple(cls: Any, hints: dict[str, Any], value: Any, cut: Cut) -> Any:
    fields = [fit(hints.get(name, Any), getattr(value, name), cut) for name in cls._fields]
    is_kept = type(value) is cls and all(map(_is, value, fields))
    return value if is_kept else cls._make(fields)


def _fit_keys(hints: dict[str, Any], value: dict[Any, Any], cut: Cut) -> dict[Any, Any]:
    fitted = {key: fit(hints.get(key, Any), part, cut) for key, part in value.items()}
    is_kept = type(value) is dict and all(fitted[key] is part for key, part in value.items())
    return value if is_kept else fitted


def _new(cls: Any, value: Any) -> Any:
    """An instance of a class. One of a Struct has to have its fields from the beginning."""
    names = getattr(cls, "__struct_fields__", None)
    if names is None:
        return cls.__new__(cls)
    return cls(**{name: getattr(value, name) for name in names})


def _as_base(cls: Any, value: Any) -> Any:
    """A new instance of a base class, with what it has in common with an instance of another."""
    base = _new(cls, value)
    added = set(field_names(type(value)) or ()) - set(field_names(cls) or ())
    for name in slot_names(cls):
        if hasattr(value, name):
            set_attribute(base, name, getattr(value, name))
    if hasattr(base, "__dict__"):
        attributes = getattr(value, "__dict__", {})
        base.__dict__.update({k: v for k, v in attributes.items() if k not in added})
    if private := getattr(base, "__pydantic_private__", None):
        known = cls.__private_attributes__
        own = {name: part for name, part in private.items() if name in known}
        set_attribute(base, "__pydantic_private__", own)
    return base
