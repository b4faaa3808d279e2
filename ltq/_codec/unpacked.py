"""`*args` and `**kwargs` whose annotations say what each place or each key is.

`*args: *tuple[int, *tuple[str, ...]]` and `**kwargs: Unpack[SomeTypedDict]`.
"""

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired, Required, TypeVarTuple, Unpack, get_args, get_origin

import msgspec
import typing_extensions
from typing_extensions import ReadOnly, get_type_hints

from ltq._codec.formats import Decode

_QUALIFIERS = (Required, NotRequired, ReadOnly)


class Places(msgspec.Struct, frozen=True):
    """The decoders of `*args`: of the first places, of any number between, of the last."""

    first: tuple[Decode, ...] = ()
    each: Decode | None = None
    last: tuple[Decode, ...] = ()

    def decoders(self, count: int) -> tuple[Decode, ...]:
        """The decoders of `count` values. Raises `TypeError` if there may not be as many."""
        fixed = self.first + self.last
        between = count - len(fixed)
        if between < 0:
            raise TypeError(f"missing positional arguments: {count} of {len(fixed)} are given")
        if not between:
            return fixed
        if self.each is None:
            raise TypeError("too many positional arguments")
        return (*self.first, *(self.each,) * between, *self.last)


class Keys(msgspec.Struct, frozen=True):
    """The decoders of `**kwargs`: by key, and of all other keys."""

    by_name: Mapping[str, Decode] = {}
    required: Sequence[str] = ()
    other: Decode | None = None

    def decoders(self, names: Sequence[str]) -> dict[str, Decode]:
        """The decoders of these keys. Raises `TypeError` if there may not be such a call."""
        found: dict[str, Decode] = {}
        for name in names:
            decode = self.by_name.get(name, self.other)
            if decode is None:
                raise TypeError(f"got an unexpected keyword argument '{name}'")
            found[name] = decode
        for name in self.required:
            if name not in found:
                raise TypeError(f"missing a required argument: '{name}'")
        return found


def places_of(hint: Any, make: Callable[[Any], Decode]) -> Places:
    """The places of `*args`, by its annotation."""
    inner = unpacked(hint)
    if inner is None:
        return Places(each=make(hint))
    first, each, last = parts_of_tuple(inner)
    return Places(
        tuple(map(make, first)),
        None if each is None else make(each),
        tuple(map(make, last)),
    )


def keys_of(
    hint: Any,
    make: Callable[[str | None, Any], Decode],
    names: dict[str, Any],
) -> Keys:
    """The keys of `**kwargs`, by its annotation. `make` gets the key, or None for all others."""
    keys = unpacked(hint)
    if keys is None:
        return Keys(other=make(None, hint))
    fields, required = typed_dict_fields(keys, names)
    return Keys(
        {name: make(name, field) for name, field in fields.items()},
        [name for name in fields if name in required],
    )


def unpacked(hint: Any) -> Any:
    """The type in `Unpack[...]` or `*tuple[...]`; None if it is neither."""
    if get_origin(hint) in (Unpack, typing_extensions.Unpack):
        return get_args(hint)[0]
    is_star = getattr(hint, "__unpacked__", False)
    return types.GenericAlias(tuple, get_args(hint)) if is_star else None


def parts_of_tuple(hint: Any) -> tuple[list[Any], Any, list[Any]]:
    """The types of the first places of a tuple, of any number between (or None), of the last."""
    if isinstance(hint, TypeVarTuple | typing_extensions.TypeVarTuple):
        return [], Any, []
    args = get_args(hint)
    if len(args) == 2 and args[1] is ...:
        return [], args[0], []
    first: list[Any] = []
    each: Any = None
    last: list[Any] = []
    for arg in args:
        inner = unpacked(arg)
        if inner is None:
            (first if each is None else last).append(arg)
            continue
        before, between, after = parts_of_tuple(inner)
        (first if each is None else last).extend(before)
        each = between if each is None else each
        last.extend(after)
    return first, each, last


def typed_dict_fields(keys: Any, names: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The types of a TypedDict's fields, and which of them are required.

    Where annotations are postponed, a TypedDict itself does not know what is `Required`.
    """
    cls = get_origin(keys) or keys
    hints = _annotations(cls, names)
    parameters = getattr(cls, "__parameters__", ())
    values = dict(zip(parameters, get_args(keys), strict=False))
    required = set(cls.__required_keys__)
    fields = {}
    for name, hint in hints.items():
        fields[name], said = _unqualified(hint)
        if said is not None:
            (required.add if said else required.discard)(name)
        fields[name] = substituted(fields[name], values)
    return fields, required


def _annotations(cls: Any, names: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a TypedDict, each looked up in the module of the class that has it.

    Its bases are not to be seen any more, but what they left behind knows its module.
    """
    hints: dict[str, Any] = {}
    parameters = {one.__name__: one for one in getattr(cls, "__type_params__", ())}
    for name, annotation in cls.__annotations__.items():
        module = getattr(annotation, "__forward_module__", None) or cls.__module__
        is_local = "<locals>" in cls.__qualname__ and module == cls.__module__
        around = {**names, **parameters} if is_local else parameters
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        known = getattr(sys.modules.get(module), "__dict__", {})
        hints |= get_type_hints(holder, known, around, include_extras=True)
    return hints


def substituted(hint: Any, values: Mapping[Any, Any]) -> Any:
    """`hint` with types in place of its type variables."""
    if hint in values:
        return values[hint]
    parameters = getattr(hint, "__parameters__", ())
    if isinstance(hint, type) or not values or not parameters:
        return hint
    return hint[tuple(values.get(one, one) for one in parameters)]


def _unqualified(hint: Any) -> tuple[Any, bool | None]:
    """A field's type without qualifiers, and whether these say that it is required."""
    said: bool | None = None
    notes: tuple[Any, ...] = ()
    while (origin := get_origin(hint)) in _QUALIFIERS or origin is Annotated:
        if origin is Annotated:
            notes = hint.__metadata__ + notes
            hint = hint.__origin__
            continue
        if origin is not ReadOnly:
            said = origin is Required
        (hint,) = get_args(hint)
    return (Annotated[(hint, *notes)] if notes else hint), said
