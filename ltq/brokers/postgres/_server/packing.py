"""The values of calls of the functions in `sql/`."""

from collections.abc import Sequence
from typing import Any

from ltq.brokers.postgres._schema import texts
from ltq.brokers.postgres._server import arrays


def packed(name: str, values: Sequence[Any]) -> list[Any]:
    """Values as a function takes them. Lists are arrays."""
    return [
        arrays.pack(type_[:-2], value) if type_.endswith("[]") and value is not None else value
        for type_, value in zip(texts.parameters(name), values, strict=True)
    ]
