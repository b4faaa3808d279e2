"""A task's arguments and result to bytes and back, from the function's annotations.

A call travels exactly as it was made: `fetch("a/b", depth=2)` is `[["a/b"],{"depth":2}]` in JSON.
There is one `CallCodec` for each task. Reading splits a body into its parts, which are still
encoded, and gives each part to the decoder of its parameter. Which decoders these are depends on
the shape of the call: the number of positional arguments, and the names of the others. Each shape
is bound to the signature only once.

Writing encodes the call, reads it back with the same decoders, and looks whether all is as it was,
in content and type (see `same`). What cannot change needs no look: a `str` for a `str`. If anything
changed, the values are made what their annotations say, and written again in each form (see `fit`
and `Format`). If that fails too, the arguments are tried one by one, to name the wrong one. Results
are checked in the same way, but may arrive as plain data: a `datetime` returned as `Any` is a `str`
in JSON.

The types are those of msgspec, pydantic's models, and what `Lowering` makes of others. Unions whose
arms look alike on the wire are decoded as the most specific arm that fits (see `picker`); a value
that would arrive as another arm is refused when it is sent. An annotation that cannot be resolved
yet, because its class is defined further down, is tried again at the first call, or by `resolve`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import call
from typing import Any

from ltq._codec.codec import Codec, UnknownSerializerError, as_item, split_item
from ltq._codec.difference import difference
from ltq._codec.explain import Explainer, error_text, why_unreadable
from ltq._codec.fingerprint import Fingerprinter
from ltq._codec.fitting import Fitter, Told
from ltq._codec.formats import Decode
from ltq._codec.kinds import Check
from ltq._codec.same import same
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
        self.serializer = codec.serializer
        """The name of what it encodes with."""
        self._task_name = task_name
        self._codec = codec
        self._sibling = partial(CallCodec, fn, task_name=task_name, localns=localns)
        self._rest: CallCodec | None = None
        self._after_first = partial(
            CallCodec, partial(fn, None), codec, task_name=task_name, localns=localns
        )
        self._others: dict[Codec, CallCodec] = {}
        self._max_payload = codec.max_payload
        self._encode = codec.encode
        self._split = codec.split
        self._load = codec.load
        self._decode_plain = codec.decoder(Any)
        self._forms = codec.forms
        self._hint_of = codec.hint_of
        self._exact_check = codec.exact_check
        self._fitter = Fitter(task_name)
        self._explain = Explainer(codec)
        self._fingerprints = Fingerprinter(fn, codec, task_name)
        self._shapes: dict[tuple[int | str, ...], CallShape] = {}
        self._checks: dict[tuple[int | str, ...], tuple[Check, ...]] = {}
        unresolved = partial(read_schema, fn, codec.decoder, task_name, localns)
        self._schema: Schema | partial[Schema] = unresolved
        with suppress(NameError, AttributeError):  # the name may exist at the first call
            self._schema = unresolved()

    def after_first(self) -> "CallCodec":
        """The codec of calls without their first argument, which comes from elsewhere.

        Raises `ConfigurationError` if the function takes no argument by position.
        """
        if self._rest is None:
            self._rest = self._after_first()
        return self._rest

    def resolve(self) -> None:
        """Raise `ConfigurationError` if an annotation still names something that is not defined."""
        self._resolved()

    def encode_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body of a call.

        Raises `InvalidArgumentsError` if the call would not arrive as it is.
        """
        kwargs = kwargs if type(kwargs) is dict else dict(kwargs)
        try:
            body = self._encode((args, kwargs))
            self._check_size(body)
            checks = self._checks.get((len(args), *kwargs))
            if checks is None:
                checks = self._checks_of(len(args), *kwargs)
            if checks and all(map(call, checks, (*args, *kwargs.values()) if kwargs else args)):
                return body
            if _arrives(args, kwargs, self._decode(*self._split(body))):
                return body
        except ConfigurationError:
            raise
        except _TooLargeError as error:
            raise InvalidArgumentsError(f"{self._task_name}: its arguments take {error}") from None
        except Exception as error:
            return self._encode_fitted(args, kwargs, error)
        return self._encode_fitted(args, kwargs, None)

    def _encode_fitted(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception | None
    ) -> bytes:
        """The body of a call that does not arrive as it is, but as its annotations have it."""
        told: list[Told] = []
        with suppress(TypeError):  # a call that does not fit the signature
            shape = self._shape_of(len(args), *kwargs)
            labels = [f"argument '{name}'" for name in self._names(args, kwargs)]
            hints = map(self._hint_of, (*shape[0], *shape[1]))
            values = zip(labels, hints, (*args, *kwargs.values()), strict=True)
            fitted = [self._fitter.fit(*value, told) for value in values]
            args = tuple(fitted[: len(args)])
            kwargs = dict(zip(kwargs, fitted[len(args) :], strict=True))
        try:
            body = self._first_form(
                (args, kwargs),
                lambda body: _arrives(args, kwargs, self._decode(*self._split(body))),
            )
        except _TooLargeError as too_large:
            text = f"{self._task_name}: its arguments take {too_large}"
            raise InvalidArgumentsError(text) from None
        if body is not None:
            self._fitter.tell(told)
            return body
        reason = self._blame(args, kwargs, self._explain.why_unsendable)
        if not reason:
            reason = error_text(error) if error else "its arguments would arrive changed"
        raise InvalidArgumentsError(f"{self._task_name}: {reason}") from error

    def _first_form(self, value: Any, arrives: Callable[[bytes], bool]) -> bytes | None:
        """A value in the first form in which it arrives; None if there is none.

        Raises `_TooLargeError`.
        """
        for encode in self._forms:
            with suppress(Exception):  # the caller explains it
                data = encode(value)
                if arrives(data):
                    break
        else:
            return None
        self._check_size(data)
        return data

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
        """A text that is the same for all calls with the same arguments, and for no others.

        An argument may be given by position or by name, a default may be left out, and a set may
        be in any order.
        """
        with suppress(Exception):  # arguments without a canonical form are compared by their bytes
            return self._fingerprints.of_call(self._resolved(), *self.decode_call(body))
        return self._fingerprints.of_bytes(body)

    def decode_call(
        self, body: bytes, serializer: str | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments in `body`, which was encoded with a serializer, by default with its own.

        Raises `DecodeError` if there is anything wrong with it, `UnknownSerializerError` if it
        cannot be read here.
        """
        if serializer is not None and serializer != self.serializer:
            other = self._reader(serializer, body)
            if other is not self:
                return other.decode_call(body)
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
        return self._encode_given("result", value, self._resolved().result)

    def encode_item(self, value: Any) -> bytes:
        """The bytes of what a generator yields: `as_item`. Raises `ResultError`."""
        data = self._encode_given("item", value, self._resolved().item)
        return as_item(data, self.serializer)

    def _encode_given(self, what: str, value: Any, decode: Decode) -> bytes:
        """The bytes of a result or an item."""
        try:
            data = self._encode(value)
            self._check_size(data)
            # Plain data can change only from NaN to null: do not walk through large results.
            if decode is self._decode_plain and b"null" not in data:
                return data
            if (check := self._exact_check(decode)) and check(value):
                return data
            if same(value, decode(self._load(data))):
                return data
        except _TooLargeError as error:
            raise ResultError(f"{self._task_name}: its {what} takes {error}") from None
        except Exception as error:
            return self._encode_fitted_result(what, value, decode, error)
        return self._encode_fitted_result(what, value, decode, None)

    def _encode_fitted_result(
        self, what: str, value: Any, decode: Decode, error: Exception | None
    ) -> bytes:
        """The bytes of a result that does not arrive as it is, but as its annotation has it."""
        told: list[Told] = []
        value = self._fitter.fit(what, self._hint_of(decode), value, told)
        try:
            data = self._first_form(
                value,
                lambda data: not difference(value, decode(self._load(data)), plain=True),
            )
        except _TooLargeError as too_large:
            raise ResultError(f"{self._task_name}: its {what} takes {too_large}") from None
        if data is not None:
            self._fitter.tell(told)
            return data
        reason = self._explain.why_unsendable(what, value, decode, plain=True)
        if not reason:
            reason = error_text(error) if error else "it would arrive changed"
        raise ResultError(f"{self._task_name}: {what}: {reason}") from error

    def decode_result(self, data: bytes, serializer: str | None = None) -> Any:
        """The result in `data`, or None if that is empty.

        Raises `DecodeError` for other bytes, and what `decode_call` raises.
        """
        if data and serializer is not None and serializer != self.serializer:
            other = self._reader(serializer, data)
            if other is not self:
                return other.decode_result(data)
        decode = self._resolved().result
        try:
            return decode(self._load(data)) if data else None
        except Exception as error:
            raise DecodeError(f"{self._task_name}: result: {error_text(error)}") from error

    def decode_item(self, item: bytes) -> Any:
        """What a generator yielded. Raises `DecodeError`, `UnknownSerializerError`."""
        serializer, data = split_item(item)
        if serializer != self.serializer:
            other = self._reader(serializer, data)
            if other is not self:
                return other.decode_item(item)
        decode = self._resolved().item
        try:
            return decode(self._load(data))
        except Exception as error:
            raise DecodeError(f"{self._task_name}: item: {error_text(error)}") from error

    def result_as_json(self, data: bytes, serializer: str) -> bytes:
        """The bytes of a result as JSON. Raises what `decode_result` raises."""
        try:
            return self._codec.reads(serializer, data).in_json(data)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(f"{self._task_name}: result: {error_text(error)}") from error

    def _reader(self, serializer: str, data: bytes) -> "CallCodec":
        """What reads bytes that another serializer may have written."""
        try:
            codec = self._codec.reads(serializer, data)
        except UnknownSerializerError as error:
            raise UnknownSerializerError(f"{self._task_name}: {error}") from None
        if codec is self._codec:
            return self
        if codec not in self._others:
            try:
                self._others[codec] = self._sibling(codec)
            except ConfigurationError as error:
                raise DecodeError(str(error)) from error
        return self._others[codec]

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

    def _names(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of a call's arguments, as errors have them."""
        return (*map(self._resolved().label, range(len(args))), *kwargs)

    def _shape_of(self, count: int, *names: str) -> CallShape:
        """The decoders of a call with `count` positional arguments and arguments of these names."""
        shape = self._resolved().shape_of(count, names)
        if len(self._shapes) < _MAX_SHAPES and count + len(names) <= _MAX_SHAPE_SIZE:
            self._shapes[(count, *names)] = shape
        return shape

    def _checks_of(self, count: int, *names: str) -> tuple[Check, ...]:
        """What sees that the arguments of such a call arrive as they were; empty if nothing can."""
        shape = self._shape_of(count, *names)
        checks = [self._exact_check(decode) for decode in (*shape[0], *shape[1])]
        known = tuple(check for check in checks if check)
        known = known if len(known) == len(checks) else ()
        if (count, *names) in self._shapes:
            self._checks[(count, *names)] = known
        return known

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
        find: Callable[[str, Any, Decode], str],
    ) -> str:
        """Name the first argument that is wrong, and why; empty if none is.

        `find` returns what is wrong with one argument, of which it is told the name.
        """
        try:
            shape = self._shape_of(len(args), *kwargs)
        except TypeError as error:  # the call does not fit the signature
            return str(error)
        names = self._names(args, kwargs)
        decoders = shape[0] + shape[1]
        for name, value, decode in zip(names, (*args, *kwargs.values()), decoders, strict=True):
            if reason := find(name.lstrip("*"), value, decode):
                return f"argument '{name}': {reason}"
        return ""


def _arrives(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    got: tuple[tuple[Any, ...], dict[str, Any]],
) -> bool:
    """Whether a call is the same as what would arrive."""
    if len(args) != len(got[0]) or not all(map(same, args, got[0])):
        return False
    return not kwargs or same(kwargs, got[1])
