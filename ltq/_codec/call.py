"""A task's arguments and result to bytes and back, from the function's annotations.

A call travels exactly as it was made: `fetch("a/b", depth=2)` is `[["a/b"],{"depth":2}]` in JSON.
There is one `CallCodec` for each task. Reading splits a body into its parts, which are still
encoded, and gives each part to the decoder of its parameter. Which decoders these are depends on
the shape of the call: the number of positional arguments, and the names of the others. Each shape
is bound to the signature only once.

Writing encodes the call and reads it back with the same decoders. A value is refused if a worker
could not read it, or if it would arrive as something else: NaN as None, or a `UUID` for a parameter
without annotation as a `str` (see `difference`). Only if that fails are the arguments tried one by
one, to name the wrong one. Results are checked in the same way, but may arrive as plain data if the
annotation says nothing: a `datetime` returned as `Any` is a `str` in JSON.

The types are those of msgspec, pydantic's models, and what `Lowering` makes of others. Unions whose
arms look alike on the wire are decoded as the most specific arm that fits (see `picker`); a value
that would arrive as another arm is refused when it is sent. An annotation that cannot be resolved
yet, because its class is defined further down, is tried again at the first call, or by `resolve`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import call
from typing import Any

from ltq._codec.codec import Codec
from ltq._codec.explain import Explainer, error_text, why_unreadable
from ltq._codec.formats import Decode, canonical
from ltq._codec.roundtrip import difference, equal
from ltq._codec.signature import CallShape, Schema, read_schema
from ltq.errors import ConfigurationError, DecodeError, InvalidArgumentsError, ResultError

_MAX_SHAPES = 256
"""Most shapes of call that are remembered for each task."""

_MAX_SHAPE_SIZE = 64
"""Most arguments of a call whose shape is remembered."""


class _TooLargeError(Exception):
    """More bytes than `max_payload`."""


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
        """`localns` has names that annotations may use besides those of the function's module.

        Raises `ConfigurationError` for a type that cannot travel.
        """
        self._task_name = task_name
        self._max_payload = codec.max_payload
        self._encode = codec.encode
        self._split = codec.split
        self._load = codec.load
        self._decode_plain = codec.decoder(Any)
        self._explain = Explainer(codec)
        self._shapes: dict[tuple[int | str, ...], CallShape] = {}
        unresolved = partial(read_schema, fn, codec.decoder, task_name, localns)
        self._schema: Schema | partial[Schema] = unresolved
        with suppress(NameError, AttributeError):  # the name may exist at the first call
            self._schema = unresolved()

    def resolve(self) -> None:
        """Raise `ConfigurationError` if an annotation still names something that is not defined."""
        self._resolved()

    def encode_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body of a call.

        Raises `InvalidArgumentsError` if a worker could not make the call.
        """
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
            reason = self._blame(args, kwargs, self._explain.why_unsendable) or error_text(error)
            raise InvalidArgumentsError(f"{self._task_name}: {reason}") from error
        if not equal(got, (args, kwargs)):
            reason = self._blame(args, kwargs, self._explain.why_unsendable)
            if reason:
                raise InvalidArgumentsError(f"{self._task_name}: {reason}")
        return body

    def read_call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments for plain data, such as JSON from a command line.

        Raises `InvalidArgumentsError` if the function does not take them.
        """
        try:
            return self.decode_call(self._encode((args, kwargs)))
        except DecodeError as error:
            raise InvalidArgumentsError(str(error)) from error

    def fingerprint(self, body: bytes) -> str:
        """A text that is the same for all calls with the same arguments.

        An argument may be given by position or by name, a default may be left out, and a set may
        be in any order.
        """
        plain: bytes = body
        with suppress(Exception):  # arguments without a canonical form are compared by their bytes
            args, kwargs = self.decode_call(body)
            bound = self._resolved().signature.bind(*args, **kwargs)
            bound.apply_defaults()
            plain = canonical(bound.arguments)
        return hashlib.sha256(f"{self._task_name}\n".encode() + plain).hexdigest()[:32]

    def decode_call(self, body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in `body`. Raises `DecodeError` if there is anything wrong with it."""
        try:
            args, kwargs = self._split(body)
        except Exception as error:
            raise DecodeError(f"{self._task_name}: {error_text(error)}") from error
        try:
            return self._decode(args, kwargs)
        except ConfigurationError:
            raise
        except Exception as error:
            reason = self._blame(args, kwargs, why_unreadable) or error_text(error)
            raise DecodeError(f"{self._task_name}: {reason}") from error

    def encode_result(self, value: Any) -> bytes:
        """The bytes of a result. Raises `ResultError` if it does not fit the return annotation."""
        decode = self._resolved().result
        try:
            data = self._encode(value)
            self._check_size(data)
            got = decode(self._load(data))
            # Plain data can change only from NaN to null: do not walk through large results.
            is_kept = equal(got, value) or (decode is self._decode_plain and b"null" not in data)
            reason = "" if is_kept else difference(value, got, plain=True)
        except _TooLargeError as error:
            raise ResultError(f"{self._task_name}: its result takes {error}") from None
        except Exception as error:
            reason = self._explain.why_unsendable(value, decode, plain=True) or error_text(error)
            raise ResultError(f"{self._task_name}: result: {reason}") from error
        if reason:
            raise ResultError(f"{self._task_name}: result: {reason}")
        return data

    def decode_result(self, data: bytes) -> Any:
        """The result in `data`, or None if that is empty. Raises `DecodeError` for other bytes."""
        decode = self._resolved().result
        try:
            return decode(self._load(data)) if data else None
        except Exception as error:
            raise DecodeError(f"{self._task_name}: result: {error_text(error)}") from error

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._max_payload:
            raise _TooLargeError(f"{len(data)} bytes, but max_payload is {self._max_payload}")

    def _decode(
        self, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in the parts of a call."""
        shape = self._shapes.get((len(args), *kwargs)) or self._shape_of(len(args), *kwargs)
        values = tuple(map(call, shape[0], args))
        if not kwargs:
            return values, {}
        return values, dict(zip(kwargs, map(call, shape[1], kwargs.values()), strict=True))

    def _shape_of(self, count: int, *names: str) -> CallShape:
        """The decoders of a call with `count` positional arguments and arguments of these names."""
        shape = self._resolved().shape_of(count, names)
        if len(self._shapes) < _MAX_SHAPES and count + len(names) <= _MAX_SHAPE_SIZE:
            self._shapes[(count, *names)] = shape
        return shape

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
        find: Callable[[Any, Decode], str],
    ) -> str:
        """Name the first argument that is wrong, and why; empty if none is.

        `find` returns what is wrong with one argument.
        """
        try:
            shape = self._shape_of(len(args), *kwargs)
        except TypeError as error:  # the call does not fit the signature
            return str(error)
        names = (*map(self._resolved().label, range(len(args))), *kwargs)
        decoders = shape[0] + shape[1]
        for name, value, decode in zip(names, (*args, *kwargs.values()), decoders, strict=True):
            if reason := find(value, decode):
                return f"argument '{name}': {reason}"
        return ""
