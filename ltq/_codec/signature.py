"""A function's signature, with a decoder for each parameter and for the result."""

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from inspect import Parameter
from types import FunctionType, UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import msgspec
from typing_extensions import get_type_hints

from ltq._aio.callables import annotated_function, is_coroutine_function, yields
from ltq._codec.formats import Decode, type_name
from ltq._codec.lowering import NoWireFormError
from ltq._codec.unpacked import Keys, Places, keys_of, places_of, substituted
from ltq.errors import ConfigurationError

_ADVICE_TYPES = "Use types that differ on the wire, such as msgspec.Struct classes with tag=True"
_ADVICE_FORM = "Send plain data or a dataclass, and make the object of it in the task"

_ITERATORS = frozenset({AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator})
"""What the annotation of a generator function may be."""

CallShape = tuple[tuple[Decode, ...], tuple[Decode, ...]]
"""The decoders of one shape of call: those of its positional arguments, and of its named ones."""


class MakeDecoder(Protocol):
    """Makes the decoder of a type. Raises `TypeError` for a type that cannot travel.

    With `partly`, some of the values of the type have to travel, not each.
    """

    def __call__(self, hint: Any, /, *, partly: bool = False) -> Decode: ...


class Schema(msgspec.Struct, frozen=True):
    """A task's signature with a decoder for each parameter, and for `return`."""

    signature: inspect.Signature
    decoders: dict[str, Decode]
    result: Decode
    item: Decode
    """Of what a generator yields; of other functions that of the result."""
    positional: tuple[str, ...]
    named: frozenset[str]
    rest: str
    """Name of `*args`, or empty."""
    places: Places
    """The decoders of `*args`."""
    keys: Keys
    """The decoders of `**kwargs`."""

    def shape_of(self, count: int, names: tuple[str, ...]) -> CallShape:
        """The decoders of a call with `count` positional arguments and these names.

        Raises `TypeError` if the call does not fit the signature.
        """
        self.signature.bind(*(None,) * count, **dict.fromkeys(names))
        others = self.keys.decoders([name for name in names if name not in self.named])
        args = tuple(self.decoders[name] for name in self.positional[:count])
        beyond = max(0, count - len(self.positional))
        return args + self.places.decoders(beyond), tuple(
            self.decoders[name] if name in self.named else others[name] for name in names
        )

    def label(self, index: int) -> str:
        """The name of a positional argument in an error message."""
        beyond = index - len(self.positional)
        return self.positional[index] if beyond < 0 else f"*{self.rest}[{beyond}]"


def read_schema(
    fn: Callable[..., Any],
    decoder: MakeDecoder,
    task_name: str,
    localns: Mapping[str, Any] | None,
) -> Schema:
    """Read a function's signature.

    Raises `NameError` or `AttributeError` if an annotation names something not defined yet, and
    `ConfigurationError` for a type that cannot travel.
    """
    try:
        function = annotated_function(fn)
        names = dict(localns.items()) if localns else {}
        names |= {one.__name__: one for one in getattr(function, "__type_params__", ())}
        hints = _hints(function, names)
        parameters = list(inspect.signature(fn).parameters.values())
        _refuse_methods(parameters, function)
        return _schema(fn, parameters, hints, _Decoders(decoder, names))
    except (NameError, AttributeError):
        raise
    except ConfigurationError as error:
        raise ConfigurationError(f"{task_name}: {error}") from error.__cause__
    except Exception as error:
        raise ConfigurationError(f"{task_name}: cannot read its signature: {error}") from error


def _schema(
    fn: Callable[..., Any],
    parameters: list[Parameter],
    hints: dict[str, Any],
    make: "_Decoders",
) -> Schema:
    either = Parameter.POSITIONAL_OR_KEYWORD
    kinds = [(parameter.kind, parameter.name) for parameter in parameters]
    rest = "".join(n for kind, n in kinds if kind is Parameter.VAR_POSITIONAL)
    extra = "".join(n for kind, n in kinds if kind is Parameter.VAR_KEYWORD)
    decoders = {
        one.name: make.of_parameter(one, hints.get(one.name, Any))
        for one in parameters
        if one.name not in (rest, extra)
    }
    if yields(fn):
        result, item = make.of_result(int, True), make.of_item(_item_of(hints))
    else:
        result = item = make.of_result(_result_of(fn, hints), is_coroutine_function(fn))
    return Schema(
        inspect.Signature(parameters),
        decoders,
        result=result,
        item=item,
        positional=tuple(n for kind, n in kinds if kind in (Parameter.POSITIONAL_ONLY, either)),
        named=frozenset(n for kind, n in kinds if kind in (Parameter.KEYWORD_ONLY, either)),
        rest=rest,
        places=make.of_rest(rest, hints.get(rest, Any)),
        keys=make.of_extra(extra, hints.get(extra, Any)),
    )


def _hints(function: Callable[..., Any], names: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a function; of a class, those of the object that calling it makes."""
    hints = get_type_hints(function, localns=names or None, include_extras=True)
    if not isinstance(function, type):
        return hints
    init = getattr(function, "__init__", None)
    if isinstance(init, FunctionType):
        hints |= get_type_hints(init, localns=names or None, include_extras=True)
    return {**hints, "return": function}


def _result_of(fn: Callable[..., Any], hints: dict[str, Any]) -> Any:
    """The type of a function's result."""
    hint = hints.get("return", Any)
    function = annotated_function(fn)
    if yields(function):
        return Any  # of a wrapper, which makes a list of what is yielded, or anything else
    if inspect.isgeneratorfunction(function):  # with @types.coroutine
        return (get_args(hint) or (Any,))[-1]
    return hint


def _item_of(hints: dict[str, Any]) -> Any:
    """The type of what a generator yields. Raises `ConfigurationError` if that is not said."""
    if "return" not in hints:  # one that yields by mistake has no result, either
        raise ConfigurationError(
            "it yields, but does not say what: annotate it with AsyncIterator[...], or a plain "
            "`def` with Iterator[...], to stream that; else return a list"
        )
    hint = hints["return"]
    while hasattr(get_origin(hint) or hint, "__value__"):  # a `type` alias
        alias = get_origin(hint) or hint
        arguments = dict(zip(alias.__type_params__, get_args(hint), strict=False))
        hint = substituted(alias.__value__, arguments)
    if hint is Any:
        return Any
    if (get_origin(hint) or hint) not in _ITERATORS:
        raise ConfigurationError(
            f"result: `{type_name(hint)}` is not what a generator gives: annotate it with "
            "AsyncIterator[...], or a plain `def` with Iterator[...]"
        )
    return (get_args(hint) or (Any,))[0]


class _Decoders:
    """Makes the decoders of one signature. Errors say of which parameter they are."""

    def __init__(self, decoder: MakeDecoder, names: dict[str, Any]) -> None:
        self._decoder = decoder
        self._names = names

    def of_parameter(self, parameter: Parameter, hint: Any) -> Decode:
        """A parameter with a default may be left out, so some of its values need not travel."""
        has_default = parameter.default is not Parameter.empty
        return self._checked(hint, f"argument '{parameter.name}'", partly=has_default)

    def of_rest(self, name: str, hint: Any) -> Places:
        """Those of `*args`, for example `*args: *tuple[int, ...]`."""
        return places_of(hint, lambda one: self._checked(one, f"argument '*{name}'"))

    def of_extra(self, name: str, hint: Any) -> Keys:
        """Those of `**kwargs`, for example `**kwargs: Unpack[SomeTypedDict]`."""

        def make(key: str | None, one: Any) -> Decode:
            return self._checked(one, f"argument '{key or f'**{name}'}'")

        return keys_of(hint, make, self._names)

    def of_result(self, hint: Any, is_coroutine: bool) -> Decode:
        """What awaiting the function gives."""
        return self._checked(hint if is_coroutine else _awaited(hint), "result")

    def of_item(self, hint: Any) -> Decode:
        """What a generator yields."""
        return self._checked(hint, "item")

    def _checked(self, hint: Any, where: str, *, partly: bool = False) -> Decode:
        try:
            return self._decoder(hint, partly=partly)
        except TypeError as error:
            advice = _ADVICE_FORM if isinstance(error, NoWireFormError) else _ADVICE_TYPES
            raise ConfigurationError(
                f"{where}: `{type_name(hint)}` cannot travel: {error}. {advice}"
            ) from error


def _awaited(hint: Any) -> Any:
    """The type that awaiting a value of type `hint` gives: `int` for `Awaitable[int]`."""
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        union: Any = Union
        return union[tuple(map(_awaited, get_args(hint)))]
    if origin is Annotated:
        given: Any = Annotated
        return given[(_awaited(hint.__origin__), *hint.__metadata__)]
    if hasattr(origin, "__value__"):  # a `type` alias
        arguments = zip(origin.__type_params__, get_args(hint), strict=False)
        value = substituted(origin.__value__, dict(arguments))
        awaited = _awaited(value)
        return hint if awaited == value else awaited
    if isinstance(origin, type) and issubclass(origin, Awaitable):
        return (get_args(hint) or (Any,))[-1]
    return hint


def _refuse_methods(parameters: list[Parameter], function: Callable[..., Any]) -> None:
    """Raise `ConfigurationError` for a function of a class that takes its object."""
    path = getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
    first = parameters[0] if parameters else None
    if first is None or first.annotation is not Parameter.empty:
        return
    if "." in path and first.name in ("self", "cls"):
        raise ConfigurationError(
            f"`{path}` is a method, and its `{first.name}` cannot be sent: make a task of "
            "a function, of a @staticmethod, or of the method of an object"
        )
