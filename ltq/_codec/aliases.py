"""Aliases of types, and types that msgspec does not follow to their end."""

import sys
import types
import typing
from typing import Any, get_args, get_origin

import typing_extensions
from typing_extensions import get_type_hints

from ltq._codec.fields import fields_of
from ltq._codec.unpacked import substituted

MOST_NESTED = 5
"""Most different arguments that a generic type may name itself with."""

_ALIASES = {typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", object())}

_WITHOUT_FIELDS = ("builtins", "typing", "collections.abc", "datetime", "decimal", "enum", "uuid")
"""Modules whose classes need not be looked into."""


def is_alias(hint: Any) -> bool:
    """Whether a type is a `type` alias, or one with arguments."""
    return type(hint) in _ALIASES or type(get_origin(hint)) in _ALIASES


def value_of(alias: Any) -> Any:
    """The type that a `type` alias stands for."""
    origin = get_origin(alias) or alias
    values = dict(zip(origin.__type_params__, get_args(alias), strict=False))
    module = sys.modules.get(origin.__module__ or "")
    own = {one.__name__: one for one in (*origin.__type_params__, origin)}
    # A name in quotes is one of the alias's module.
    holder = types.SimpleNamespace(__annotations__={"value": origin.__value__})
    hints = get_type_hints(holder, getattr(module, "__dict__", {}), own, include_extras=True)
    return substituted(hints["value"], values)


def is_beyond(hint: Any, around: tuple[Any, ...], seen: set[Any]) -> bool:
    """Whether a `type` alias within a type, or in its fields, leads back to itself.

    So it is with a generic class that stands there without its type arguments, but has defaults.
    `around` are the aliases on the way, `seen` the classes whose fields were looked at.
    """
    if is_alias(hint):
        if hint in around or len(around) > MOST_NESTED:
            return True
        return is_beyond(value_of(hint), (*around, hint), seen)
    if any(is_beyond(one, around, seen) for one in get_args(hint) if one is not hint):
        return True
    if with_defaults(hint) is not hint:
        return True
    cls = get_origin(hint) or hint
    if not isinstance(cls, type) or cls.__module__ in _WITHOUT_FIELDS or cls in seen:
        return False
    seen.add(cls)
    try:
        fields = fields_of(hint)
    except Exception:  # msgspec will say what is wrong with it
        return False
    return fields is not None and any(is_beyond(one.type, around, seen) for one in fields.all)


def with_defaults(hint: Any) -> Any:
    """A generic class without type arguments, with the defaults of its type variables."""
    parameters = getattr(hint, "__parameters__", ()) if isinstance(hint, type) else ()
    having = [one for one in parameters if hasattr(one, "has_default") and one.has_default()]
    if not having:
        return hint
    return hint[tuple(one.__default__ if one in having else one for one in parameters)]
