"""Why a value cannot travel. This is slow, so it is asked only after something has gone wrong."""

from collections.abc import Iterator
from typing import Any, Union

import msgspec
from typing_extensions import is_typeddict

from ltq._codec.codec import Codec
from ltq._codec.difference import difference, hint_path, shown
from ltq._codec.formats import Decode
from ltq._codec.hints import arm_of, field_names, key_hints, meaning
from ltq._codec.same import step
from ltq._codec.scalars import is_scalar

_MAX_DEPTH = 200
"""Deepest part that is looked at."""


class Explainer:
    """Explains why a value cannot be sent in one wire format."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def why_unsendable(self, name: str, value: Any, decode: Decode, *, plain: bool = False) -> str:
        """Why a value cannot be sent as the type that `decode` reads; empty if it can be.

        `name` is the argument's: the path in the text begins with it. With `plain`, the value may
        arrive as plain data.
        """
        try:
            return self._why_unsendable(name, value, decode, plain)
        except Exception as error:  # from anybody's class, or without end
            return f"cannot encode `{shown(value)}`: {error_text(error)}"

    def _why_unsendable(self, name: str, value: Any, decode: Decode, plain: bool) -> str:
        reason = ""
        for encode in self._codec.forms:
            try:
                got = decode(self._codec.load(encode(value)))
            except Exception:
                reason = reason or self._why_invalid(name, value, decode)
            else:
                found = difference(value, got, plain=plain, path=name)
                if not found:
                    return ""
                reason = reason or found
        return reason

    def _why_invalid(self, name: str, value: Any, decode: Decode) -> str:
        """Why a value cannot be written, or not be read again."""
        hint, path, error = self._codec.hint_of(decode), "", self._fault(value, decode)
        for _ in range(_MAX_DEPTH):
            for at, part_hint, part in _typed_parts(hint, value):
                fault = self._fault_of(part, part_hint)
                if fault is not None:
                    hint, value, path, error = part_hint, part, path + at, fault
                    break
            else:
                break
        text = self._sentence(hint, value, error, f"{name}{path}").replace(
            "- at `$", f"- at `{name}{path}"
        )
        if "- at `" in text:
            return text
        return f"{text} - at `{name}{path}`" if path else text

    def _fault_of(self, value: Any, hint: Any) -> Exception | None:
        try:
            return self._fault(value, self._codec.decoder(hint))
        except Exception:  # a hint that is no type of its own
            return None

    def _fault(self, value: Any, decode: Decode) -> Exception | None:
        try:
            decode(self._codec.load(self._codec.encode(value)))
        except Exception as error:
            return error.with_traceback(None)  # which has the frames that keep the error
        return None

    def _sentence(self, hint: Any, value: Any, error: Exception | None, path: str) -> str:
        """What is wrong with the value at a path, none of whose parts is wrong."""
        reason = "" if error is None else error_text(error)
        try:
            part = self._codec.load(self._codec.encode(value))
            plain = self._codec.decoder(Any)(part)
        except Exception as fault:
            return f"cannot encode `{shown(value)}`: {error_text(fault)}"
        if found := difference(value, plain, plain=True, path=path):
            return found  # "would arrive as None" says more than "got `null`"
        if reason.startswith("Expected") and ", got " not in reason:
            return reason  # a limit, such as `int` >= 1
        if _is_of(hint, value) and not reason.startswith("Expected"):
            return f"`{shown(value)}` cannot be read back: {reason}"
        text = f"Expected `{hint_path(hint)}`, got `{shown(value)}`"
        return text if reason.startswith("Expected") else f"{text}: {reason}"


def _is_of(hint: Any, value: Any) -> bool:
    """Whether a value is of the annotated class, as far as can be told."""
    cls, args = meaning(hint)
    if cls is Union:
        return any(_is_of(arm, value) for arm in args)
    if cls is Any or is_typeddict(cls):
        return cls is Any and hint is Any
    return type(value) is cls or (not is_scalar(cls) and isinstance(value, cls))


_Typed = tuple[str, Any, Any]
"""A step of a path, the annotation there, and the value there."""


def _typed_parts(hint: Any, value: Any) -> Iterator[_Typed]:
    """The parts of a value, each with its annotation and the step of the path to it."""
    cls, args = meaning(hint)
    if cls is Union:
        return _typed_parts(arm_of(args, value), value)
    if field_names(type(value)) is not None:
        return _typed_fields(args, value)
    if isinstance(value, dict):
        return _typed_items(cls, args, value)
    if isinstance(value, list | tuple | set | frozenset):
        return _typed_elements(cls, args, value)
    return iter(())


def _typed_fields(args: tuple[Any, ...], value: Any) -> Iterator[_Typed]:
    hints = key_hints(type(value), args) or {}
    for name in field_names(type(value)) or ():
        if hasattr(value, name):
            yield f".{name}", hints.get(name, Any), getattr(value, name)


def _typed_items(cls: Any, args: tuple[Any, ...], value: dict[Any, Any]) -> Iterator[_Typed]:
    hints = (key_hints(cls) or {}) if is_typeddict(cls) else {}
    of_keys, of_values = args if len(args) == 2 else (Any, Any)
    for key, part in value.items():
        yield f"[{key!r}]", of_keys, key
        yield step(key), hints.get(key, of_values), part


def _typed_elements(cls: Any, args: tuple[Any, ...], value: Any) -> Iterator[_Typed]:
    count = len(value)
    if cls is not tuple or (len(args) == 2 and args[1] is ...):
        hints = (args[:1] or (Any,)) * count
    else:
        hints = args if len(args) == count else (Any,) * count
    for index, (of_part, part) in enumerate(zip(hints, value, strict=True)):
        yield f"[{index}]", of_part, part


def why_unreadable(name: str, part: Any, decode: Decode) -> str:
    """Why an encoded value cannot be read; empty if it can be. `name` is the argument's."""
    try:
        decode(part)
    except Exception as error:
        return error_text(error).replace("- at `$", f"- at `{name}")
    return ""


def error_text(error: Exception) -> str:
    """The text of an error, after its type if the text alone says too little."""
    is_plain = isinstance(error, msgspec.MsgspecError | TypeError)
    return str(error) if is_plain else f"{type(error).__name__}: {error}"
