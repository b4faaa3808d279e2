"""What is the same for all calls with the same arguments, and for no others."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ltq._codec.canonical import canonical
from ltq._codec.codec import Codec
from ltq._codec.fitting import Fitter
from ltq._codec.signature import Schema


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
