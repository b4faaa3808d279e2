"""A task's arguments and result to bytes and back, from the function's annotations.

A call travels exactly as it was made: `fetch("a/b", depth=2)` is `[["a/b"],{"depth":2}]` in JSON.
A `Codec` is the wire format of a worker and keeps one msgspec decoder per type; a `CallCodec` is
built once per task and knows which decoder each parameter needs. Reading splits a body into its
still encoded parts, looks up the decoders for that shape of call (so many positional arguments,
these names), and lets each read its part. A shape met for the first time is bound to the signature.

Writing encodes the call and reads it again by the same decoders: what a worker could not read is
never sent, nor what would arrive as something else (NaN as None, a `UUID` for an unannotated
parameter as a `str`: see `difference`). Only then are the arguments tried one by one, to name the
one at fault. Results go the same way, but may arrive as plain data where the annotation says no
more: a `datetime` returned as `Any` is a `str` in JSON.

Types are msgspec's, and pydantic's models. Unions whose arms look alike on the wire are decoded as
the most specific arm that fits (see `lower`); a value that would come out as another arm is refused
when it is sent. An annotation that cannot be resolved yet (its class is defined further down) is
tried again at the first call, or by `resolve`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import call
from typing import Any

import msgspec

from ltq._codec.formats import Decode, Format, MsgspecFormat, ObjectFormat, canonical
from ltq._codec.roundtrip import difference, equal
from ltq._codec.signature import CallShape, Schema, read_schema
from ltq._codec.unions import lower
from ltq._display.values import short_repr
from ltq.codec import DEFAULT_MAX_PAYLOAD, Serializer
from ltq.errors import ConfigurationError, DecodeError, InvalidArgumentsError, ResultError

_MAX_PLANS = 256
_MAX_PLAN_SIZE = 64


class _TooLargeError(Exception):
    """More bytes than `max_payload`."""


class Codec:
    """The wire format of a worker: `"json"`, `"msgpack"`, or an object with `dumps` and `loads`."""

    def __init__(
        self, serializer: str | Serializer = "json", max_payload: int = DEFAULT_MAX_PAYLOAD
    ) -> None:
        self.max_payload = max_payload
        self._format = _format(serializer)
        self._decoders: dict[Any, Decode] = {}
        self.encode: Callable[[Any], bytes] = self._format.encode
        self.split: Callable[[bytes], tuple[list[Any], dict[str, Any]]] = self._format.split
        self.load: Callable[[bytes], Any] = self._format.load

    def decoder(self, hint: Any) -> Decode:
        """The decoder of a type, made once; raise `TypeError` for a type that has none."""
        try:
            return self._decoders[hint, repr(hint)]
        except (KeyError, TypeError):  # TypeError: not hashable
            decode = self._format.decoder(lower(hint, self._format))
        with suppress(TypeError):
            self._decoders[hint, repr(hint)] = decode  # `A | B` equals `B | A`, but reads otherwise
        return decode


def _format(serializer: Any) -> Format:
    if isinstance(serializer, str):
        module = {"json": msgspec.json, "msgpack": msgspec.msgpack}.get(serializer)
        if module is not None:
            return MsgspecFormat(module)
    elif all(callable(getattr(serializer, name, None)) for name in ("dumps", "loads")):
        return ObjectFormat(serializer)
    raise ConfigurationError(
        f"serializer={short_repr(serializer)} is not allowed: "
        '"json", "msgpack", or an object with dumps and loads'
    )


class CallCodec:
    """Encodes and decodes the calls and the results of one task."""

    def __init__(
        self,
        fn: Callable[..., Any],
        codec: Codec,
        *,
        task_name: str,
        localns: Mapping[str, Any] | None = None,
    ) -> None:
        """`localns` are names that annotations may use besides those of the function's module.

        Raise `ConfigurationError` for a type that cannot travel.
        """
        self._task_name = task_name
        self._max_payload = codec.max_payload
        self._encode = codec.encode
        self._split = codec.split
        self._load = codec.load
        self._plain = codec.decoder(Any)
        self._plans: dict[tuple[int | str, ...], CallShape] = {}
        unresolved = partial(read_schema, fn, codec.decoder, task_name, localns)
        self._schema: Schema | partial[Schema] = unresolved
        with suppress(NameError, AttributeError):  # perhaps the name is there at the first call
            self._schema = unresolved()

    def resolve(self) -> None:
        """Raise `ConfigurationError` if an annotation names what still is not there."""
        self._resolved()

    def encode_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body of a call; raise `InvalidArgumentsError` if a worker could not make the call."""
        kwargs = kwargs if type(kwargs) is dict else dict(kwargs)
        try:
            body = self._encode((args, kwargs))
            self._check_size(body)
            got = self._decode(*self._split(body))
        except ConfigurationError:
            raise
        except _TooLargeError as error:
            raise InvalidArgumentsError(f"{self._task_name}: its arguments take {error}") from None
        except Exception as error:
            reason = self._blame(args, kwargs, self._fault) or _text(error)
            raise InvalidArgumentsError(f"{self._task_name}: {reason}") from error
        if not equal(got, (args, kwargs)) and (reason := self._blame(args, kwargs, self._fault)):
            raise InvalidArgumentsError(f"{self._task_name}: {reason}")
        return body

    def read_call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that plain data means, JSON typed on a command line, say.

        Raise `InvalidArgumentsError` if they are not what the function takes.
        """
        try:
            return self.decode_call(self._encode((args, kwargs)))
        except DecodeError as error:
            raise InvalidArgumentsError(str(error)) from error

    def fingerprint(self, body: bytes) -> str:
        """A text that is the same for calls with the same arguments, however they were given.

        By name or by position, a default left out or named, a set in whatever order.
        """
        plain: bytes = body
        with suppress(Exception):  # what has no canonical form is the same if its bytes are
            args, kwargs = self.decode_call(body)
            bound = self._resolved().signature.bind(*args, **kwargs)
            bound.apply_defaults()
            plain = canonical(bound.arguments)
        return hashlib.sha256(f"{self._task_name}\n".encode() + plain).hexdigest()[:32]

    def decode_call(self, body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in `body`; raise `DecodeError`, whatever is wrong with the bytes."""
        try:
            args, kwargs = self._split(body)
        except Exception as error:
            raise DecodeError(f"{self._task_name}: {_text(error)}") from error
        try:
            return self._decode(args, kwargs)
        except ConfigurationError:
            raise
        except Exception as error:
            reason = self._blame(args, kwargs, _unreadable) or _text(error)
            raise DecodeError(f"{self._task_name}: {reason}") from error

    def encode_result(self, value: Any) -> bytes:
        """The bytes of a result; raise `ResultError` if it does not fit the return annotation."""
        decode = self._resolved().decoders["return"]
        try:
            data = self._encode(value)
            self._check_size(data)
            got = decode(self._load(data))
            # as plain data nothing can be lost but NaN, to null: do not walk through large results
            kept = equal(got, value) or (decode is self._plain and b"null" not in data)
            reason = "" if kept else difference(value, got, plain=True)
        except _TooLargeError as error:
            raise ResultError(f"{self._task_name}: its result takes {error}") from None
        except Exception as error:
            reason = self._fault(value, decode, plain=True) or _text(error)
            raise ResultError(f"{self._task_name}: result: {reason}") from error
        if reason:
            raise ResultError(f"{self._task_name}: result: {reason}")
        return data

    def decode_result(self, data: bytes) -> Any:
        """The result in `data`, None if it is empty; raise `DecodeError` if it holds no result."""
        decode = self._resolved().decoders["return"]
        try:
            return decode(self._load(data)) if data else None
        except Exception as error:
            raise DecodeError(f"{self._task_name}: result: {_text(error)}") from error

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._max_payload:
            raise _TooLargeError(f"{len(data)} bytes, but max_payload is {self._max_payload}")

    def _decode(
        self, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values of a call's parts."""
        plan = self._plans.get((len(args), *kwargs)) or self._plan(len(args), *kwargs)
        values = tuple(map(call, plan[0], args))
        if not kwargs:
            return values, {}
        return values, dict(zip(kwargs, map(call, plan[1], kwargs.values()), strict=True))

    def _plan(self, count: int, *names: str) -> CallShape:
        plan = self._resolved().plan(count, names)
        if len(self._plans) < _MAX_PLANS and count + len(names) <= _MAX_PLAN_SIZE:
            self._plans[(count, *names)] = plan
        return plan

    def _resolved(self) -> Schema:
        if isinstance(self._schema, partial):
            try:
                self._schema = self._schema()
            except (NameError, AttributeError) as error:
                raise ConfigurationError(
                    f"{self._task_name}: an annotation cannot be resolved: {error}; "
                    "define or import the name at the top of the module, not for type checkers only"
                ) from error
        return self._schema

    def _blame(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        check: Callable[[Any, Decode], str],
    ) -> str:
        """Why a call failed: the slow way, one argument at a time."""
        try:
            plan = self._plan(len(args), *kwargs)
        except TypeError as error:  # it does not fit the signature
            return str(error)
        names = (*map(self._resolved().label, range(len(args))), *kwargs)
        decoders = plan[0] + plan[1]
        for name, value, decode in zip(names, (*args, *kwargs.values()), decoders, strict=True):
            if reason := check(value, decode):
                return f"argument '{name}': {reason}"
        return ""

    def _fault(self, value: Any, decode: Decode, *, plain: bool = False) -> str:
        """Why a value cannot be sent, if it cannot."""
        try:
            part = self._load(self._encode(value))
        except Exception as error:
            return f"cannot encode `{type(value).__qualname__}`: {_text(error)}"
        try:
            return difference(value, decode(part), plain=plain)
        except Exception as error:
            with suppress(Exception):  # that it became None says more than "got `null`"
                return difference(value, self._plain(part), plain=True) or _text(error)
            return _text(error)


def _unreadable(part: Any, decode: Decode) -> str:
    try:
        decode(part)
    except Exception as error:
        return _text(error)
    return ""


def _text(error: Exception) -> str:
    spoken = isinstance(error, msgspec.MsgspecError | TypeError)
    return str(error) if spoken else f"{type(error).__name__}: {error}"
