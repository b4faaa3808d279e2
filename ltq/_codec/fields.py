"""The fields of classes that are data, and their values from plain data with other field types.

The classes are those that msgspec reads: dataclasses, attrs classes, Structs, TypedDicts and
NamedTuples.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, get_args, get_origin

import msgspec
import typing_extensions
from msgspec import UNSET
from typing_extensions import get_type_hints

from ltq._codec.unpacked import substituted, typed_dict_fields


class Field(NamedTuple):
    """A field of a class."""

    name: str
    type: Any
    is_required: bool
    key: str = ""
    """Its name on the wire, if that is another one."""
    default: Callable[[], Any] | None = None
    """Makes its value where the data has none."""


class Fields:
    """The fields of a class, and how a value is made of theirs."""

    has_qualifiers = False
    """Whether the types were written with qualifiers that msgspec does not know."""

    def __init__(self, fields: list[Field], make: Callable[[dict[str, Any]], Any]) -> None:
        self.all = fields
        self._make = make
        self._config: dict[str, Any] = {}

    def configured(self, **config: Any) -> "Fields":
        """The same, with options for `msgspec.defstruct`."""
        self._config = config
        return self

    def mirror(self, types: list[Any]) -> Any:
        """A type with the same fields, of other types."""
        fields: list[tuple[str, Any, Any]] = [
            (f"f{index}", kind, msgspec.field(name=one.key or one.name))
            if one.is_required
            else (f"f{index}", kind, msgspec.field(default=UNSET, name=one.key or one.name))
            for index, (one, kind) in enumerate(zip(self.all, types, strict=True))
        ]
        return msgspec.defstruct("Mirror", fields, kw_only=True, **self._config)

    def made(self, mirrored: Any) -> Any:
        """The value for one of the mirror."""
        values = {}
        for index, one in enumerate(self.all):
            value = getattr(mirrored, f"f{index}")
            if value is not UNSET:
                values[one.name] = value
            elif one.default is not None:
                values[one.name] = one.default()
        return self._make(values)


def fields_of(hint: Any) -> Fields | None:
    """The fields of a class; None for any other type."""
    cls = get_origin(hint) or hint
    if not isinstance(cls, type):
        return None
    if typing_extensions.is_typeddict(cls):
        return _of_typed_dict(hint)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _of_named_tuple(hint, cls)
    if issubclass(cls, msgspec.Struct):
        return _of_struct(hint, cls)
    if dataclasses.is_dataclass(cls):
        return _of_dataclass(hint, cls)
    return _of_attrs(hint, cls) if hasattr(cls, "__attrs_attrs__") else None


def _of_typed_dict(hint: Any) -> Fields:
    types, required = typed_dict_fields(hint, {})
    fields = Fields([Field(name, one, name in required) for name, one in types.items()], dict)
    fields.has_qualifiers = True
    return fields


def _of_named_tuple(hint: Any, cls: Any) -> Fields:
    types = _types(hint, cls)
    optional = cls._field_defaults
    fields = [Field(name, types.get(name, Any), name not in optional) for name in cls._fields]
    return Fields(fields, lambda values: cls(**values)).configured(
        array_like=True, forbid_unknown_fields=True
    )


def _of_struct(hint: Any, cls: type[msgspec.Struct]) -> Fields:
    types, config = _types(hint, cls), cls.__struct_config__
    fields = [
        Field(one.name, types[one.name], one.required, one.encode_name)
        for one in msgspec.structs.fields(cls)
    ]
    return Fields(fields, lambda values: cls(**values)).configured(
        array_like=config.array_like,
        forbid_unknown_fields=config.forbid_unknown_fields,
        tag=config.tag,
        tag_field=config.tag_field,
    )


def _of_dataclass(hint: Any, cls: Any) -> Fields:
    types = _types(hint, cls)
    fields = []
    for one in dataclasses.fields(cls):
        default = None if one.default_factory is dataclasses.MISSING else one.default_factory
        if one.default is not dataclasses.MISSING:
            default = _constant(one.default)
        fields.append(Field(one.name, types[one.name], default is None, default=default))

    def make(values: dict[str, Any]) -> Any:
        made = cls.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)  # it may be frozen
        if hasattr(made, "__post_init__"):
            made.__post_init__()
        return made

    return Fields(fields, make)


def _of_attrs(hint: Any, cls: Any) -> Fields:
    types = _types(hint, cls)
    attributes = [one for one in cls.__attrs_attrs__ if one.init]
    keywords = {one.name: one.alias for one in attributes}
    # attrs is not imported: NOTHING, the default of a field without one, is known by its name.
    fields = [
        Field(one.name, types.get(one.name, Any), getattr(one.default, "name", "") == "NOTHING")
        for one in attributes
    ]
    return Fields(fields, lambda values: cls(**{keywords[n]: v for n, v in values.items()}))


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _types(hint: Any, cls: type[Any]) -> dict[str, Any]:
    """The types of a class's fields, each looked up in the module of the class that has it."""
    values = _bound(cls, get_args(hint))
    own = {
        one.__name__: one for base in cls.__mro__ for one in getattr(base, "__type_params__", ())
    }
    hints = get_type_hints(cls, localns=own or None, include_extras=True)
    return {name: substituted(one, values) for name, one in hints.items()}


def _bound(cls: Any, args: tuple[Any, ...]) -> Mapping[Any, Any]:
    """What the type variables of a class, and those of its bases, stand for."""
    parameters = getattr(cls, "__parameters__", ())
    values = dict(zip(parameters, args, strict=False))
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if origin is not None and origin is not Generic and hasattr(origin, "__parameters__"):
            given = tuple(substituted(one, values) for one in get_args(base))
            values = {**_bound(origin, given), **values}
    return values
