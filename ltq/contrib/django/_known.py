"""The tasks of Django's that this process has seen, by their backends."""

from collections.abc import Iterable
from typing import Any

from django.utils.module_loading import import_string

_known: dict[tuple[str, str], Any] = {}
"""The `Task` as it was declared, by the alias of its backend and the path of its function."""


def remember(alias: str, task: Any) -> None:
    """Note a `Task`. One of the same function with other options, from `using`, changes nothing."""
    seen = _known.get((alias, task.module_path))
    if seen is None or seen.func is not task.func:
        _known[alias, task.module_path] = task


def known_to(alias: str) -> Iterable[Any]:
    """The tasks of a backend."""
    return [task for (owner, _), task in _known.items() if owner == alias]


def find(alias: str, path: str) -> Any:
    """The `Task` of a function. Raises `ImportError` if there is none."""
    return _known.get((alias, path)) or import_string(path)
