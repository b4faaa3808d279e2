"""What is the same for all calls with the same arguments, and for no others.

Texts of values take types into account, as `same` does: `1`, `True` and `1.0` differ. Sets and
dicts may be in any order. What a text is made of does not depend on the process: no hash, no
address, no module (which is `__main__` in a script).
"""

import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ltq._codec.codec import Codec
from ltq._codec.fitting import Fitter
from ltq._codec.scalars import is_text, text_base, text_of
from ltq._codec.signature import Schema
from ltq._codec.state import reduced, state


class Fingerprinter:
    """Makes the fingerprints of one task's calls."""

    def __init__(self, fn: Callable[..., Any], codec: Codec, task_name: str) -> None:
        self._fn = fn
        self._codec = codec
        self._task_name = task_name
        self._defaults: dict[str, str] | None = None

    def of_call(self, schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """The fingerprint of a call. Raises `ValueError` for a value without a canonical form."""
        given = schema.signature.bind(*args, **kwargs).arguments
        texts = self._default_texts(schema) | {name: canonical(one) for name, one in given.items()}
        return self.of_bytes(repr(sorted(texts.items())).encode())

    def of_bytes(self, call: bytes) -> str:
        """The fingerprint of a call that these bytes stand for."""
        return hashlib.sha256(f"{self._task_name}\n".encode() + call).hexdigest()[:32]

    def _default_texts(self, schema: Schema) -> dict[str, str]:
        """The canonical text of each default, as it would be if it were given."""
        if self._defaults is None:
            texts = {}
            for name, parameter in inspect.signature(self._fn).parameters.items():
                if parameter.default is not parameter.empty:
                    texts[name] = "default"
                    with suppress(Exception):  # it cannot travel, so nobody can give it
                        texts[name] = self._text(parameter.default, schema.decoders[name])
            self._defaults = texts
        return self._defaults

    def _text(self, default: Any, decode: Callable[[Any], Any]) -> str:
        codec = self._codec
        fitted = Fitter(self._task_name).fit("default", codec.hint_of(decode), default)
        return canonical(decode(codec.load(codec.encode(fitted))))


def canonical(value: Any) -> str:
    """The text of a value. Raises `ValueError` for a value that has none."""
    kind = type(value)
    if (write := _WRITERS.get(kind)) is not None:
        return write(value)
    name = kind.__qualname__
    if isinstance(value, Enum):
        return f"{name}.{value.name}={canonical(value.value)}"
    if isinstance(value, type):
        return f"type {value.__qualname__}"
    if is_text(kind):
        own = {} if text_base(kind) is kind else state(value)
        return f"{name}({text_of(value)!r},{_dict(own)})"
    base = next((cls for cls in kind.__mro__ if cls in _WRITERS), None)
    if base is not None:
        return f"{name}({_WRITERS[base](value)},{_dict(state(value))})"
    attributes = state(value)
    if (found := reduced(value)) is not None:
        if not found:
            raise ValueError(f"`{name}` has no canonical form")
        return f"{name}({','.join(map(canonical, found[1:]))})"
    tag = getattr(getattr(value, "__struct_config__", None), "tag", None)
    return f"{name}[{tag!r}]{_dict(attributes)}"


def _number(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _decimal(value: Decimal) -> str:
    return f"Decimal {value}"


def _clock(value: datetime | time) -> str:
    return f"{type(value).__name__} {value.isoformat()}"


def _list(value: Any) -> str:
    return f"{type(value).__name__}[{','.join(map(canonical, value))}]"


def _set(value: Any) -> str:
    return f"{type(value).__name__}{{{','.join(sorted(map(canonical, value)))}}}"


def _dict(value: Any) -> str:
    pairs = sorted(f"{canonical(key)}:{canonical(part)}" for key, part in value.items())
    return f"{{{','.join(pairs)}}}"


_WRITERS: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys((str, bytes, bool, type(None), date, timedelta, UUID), repr),
    **dict.fromkeys((int, float, bytearray, complex), _number),
    **dict.fromkeys((list, tuple, deque), _list),
    **dict.fromkeys((set, frozenset), _set),
    memoryview: lambda value: f"memoryview {bytes(value)!r}",
    Decimal: _decimal,
    datetime: _clock,
    time: _clock,
    dict: _dict,
}
