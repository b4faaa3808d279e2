"""A function's signature, with a decoder for each parameter and for the result."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import Parameter
from typing import Any, Unpack, get_args, get_origin

import msgspec
import typing_extensions
from typing_extensions import get_type_hints

from ltq._codec.formats import Decode
from ltq.errors import ConfigurationError

_UNPACKS = (Unpack, typing_extensions.Unpack)

CallShape = tuple[tuple[Decode, ...], tuple[Decode, ...]]
"""The decoders of one shape of call: those of its positional arguments, and of its named ones."""


class Schema(msgspec.Struct, frozen=True):
    """A task's signature with a decoder for each parameter, and for `return`."""

    signature: inspect.Signature
    decoders: dict[str, Decode]
    positional: tuple[str, ...]
    named: frozenset[str]
    rest: str
    """Name of `*args`, or empty."""
    extra: str
    """Name of `**kwargs`, or empty."""

    def shape_of(self, count: int, names: tuple[str, ...]) -> CallShape:
        """The decoders of a call with `count` positional arguments and these names.

        Raises `TypeError` if the call does not fit the signature.
        """
        self.signature.bind(*(None,) * count, **dict.fromkeys(names))
        args = (*self.positional[:count], *(self.rest,) * (count - len(self.positional)))
        kwargs = (name if name in self.named else self.extra for name in names)
        return tuple(self.decoders[n] for n in args), tuple(self.decoders[n] for n in kwargs)

    def label(self, index: int) -> str:
        """The name of a positional argument in an error message."""
        beyond = index - len(self.positional)
        return self.positional[index] if beyond < 0 else f"*{self.rest}[{beyond}]"


def read_schema(
    fn: Callable[..., Any],
    decoder: Callable[[Any], Decode],
    task_name: str,
    localns: Mapping[str, Any] | None,
) -> Schema:
    """Read a function's signature.

    Raises `NameError` or `AttributeError` if an annotation names something not defined yet, and
    `ConfigurationError` for a type that cannot travel.
    """
    try:
        hints = get_type_hints(_function(fn), localns=localns, include_extras=True)
        parameters = list(_spelled_out(inspect.signature(fn), hints, localns))
        decoders = {}
        for name in [parameter.name for parameter in parameters] + ["return"]:
            where = "result" if name == "return" else f"argument '{name}'"
            decoders[name] = _checked(decoder, hints.get(name, Any), f"{task_name}: {where}")
    except (NameError, AttributeError, ConfigurationError):
        raise
    except Exception as error:
        raise ConfigurationError(f"{task_name}: cannot read its signature: {error}") from error
    either = Parameter.POSITIONAL_OR_KEYWORD
    kinds = [(parameter.kind, parameter.name) for parameter in parameters]
    return Schema(
        inspect.Signature(parameters),
        decoders,
        positional=tuple(n for kind, n in kinds if kind in (Parameter.POSITIONAL_ONLY, either)),
        named=frozenset(n for kind, n in kinds if kind in (Parameter.KEYWORD_ONLY, either)),
        rest="".join(n for kind, n in kinds if kind is Parameter.VAR_POSITIONAL),
        extra="".join(n for kind, n in kinds if kind is Parameter.VAR_KEYWORD),
    )


def _checked(decoder: Callable[[Any], Decode], hint: Any, where: str) -> Decode:
    try:
        return decoder(hint)
    except TypeError as error:
        shown = hint.__qualname__ if isinstance(hint, type) else hint
        raise ConfigurationError(
            f"{where}: `{shown}` cannot travel: {error}. Use types that differ on the wire, "
            "such as msgspec.Struct classes with tag=True"
        ) from error


def _function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that carries the annotations."""
    while isinstance(fn, partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    return fn if inspect.isroutine(fn) else type(fn).__call__


def _spelled_out(
    signature: inspect.Signature, hints: dict[str, Any], localns: Mapping[str, Any] | None
) -> Iterator[Parameter]:
    """The parameters, with `**kwargs: Unpack[SomeTypedDict]` as one parameter for each key."""
    for parameter in signature.parameters.values():
        hint: Any = hints.get(parameter.name)
        origin: Any = get_origin(hint)
        if parameter.kind is not Parameter.VAR_KEYWORD or origin not in _UNPACKS:
            yield parameter
            continue
        [keys] = get_args(hint)
        for name, key in get_type_hints(keys, localns=localns).items():
            hints[name] = key
            default = Parameter.empty if name in keys.__required_keys__ else None
            yield Parameter(name, Parameter.KEYWORD_ONLY, default=default)
