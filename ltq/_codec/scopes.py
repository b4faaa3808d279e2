"""The names that a function's annotations may use besides those of its module.

They are those around the place where it is defined, not those around the place where it is made a
task: `worker.task(logic.load)` means the `Config` of `logic`.
"""

import inspect
from collections.abc import Callable, ItemsView, Iterator, Mapping
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

from ltq._aio.callables import annotated_function


class NamesAround(Mapping[str, Any]):
    """Names in the functions and classes around a function's definition, as they are now.

    Functions that are still running are looked for among the callers.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._function = annotated_function(fn)
        code = getattr(self._function, "__code__", None)
        self._frames = [] if code is None else list(_enclosing(code, inspect.currentframe()))

    def __getitem__(self, name: str) -> Any:
        return self._names()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def items(self) -> ItemsView[str, Any]:
        """All names, looked up once."""
        return self._names().items()

    def _names(self) -> dict[str, Any]:
        """The innermost scope is the last, and wins."""
        names: dict[str, Any] = {}
        for frame in reversed(self._frames):
            names |= frame.f_locals
        names |= _closure(self._function)
        names |= _siblings(self._function, names)
        return names


def _enclosing(code: CodeType, frame: FrameType | None) -> Iterator[FrameType]:
    """The frames, innermost first, whose code contains the code of a function."""
    while frame is not None:
        is_module = frame.f_code.co_name == "<module>" and frame.f_locals is frame.f_globals
        if not is_module and _contains(frame.f_code, code):
            yield frame
        frame = frame.f_back


def _contains(outer: CodeType, code: CodeType) -> bool:
    return any(
        one is code or _contains(one, code) for one in outer.co_consts if isinstance(one, CodeType)
    )


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    """The variables of functions around it that it uses itself."""
    names = {}
    code: Any = getattr(function, "__code__", None)
    cells: Any = getattr(function, "__closure__", None) or ()
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=False):
        with suppress(ValueError):  # not defined yet
            names[name] = cell.cell_contents
    return names


def _siblings(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The classes within the class of a method: `Config` means `Service.Config` there.

    Only classes: annotations do not mean a method that is named like a type.
    """
    path = getattr(function, "__qualname__", "").rpartition("<locals>.")[2].split(".")[:-1]
    owner: Any = None
    for depth, name in enumerate(path):
        known = {**getattr(function, "__globals__", {}), **names} if not depth else vars(owner)
        owner = known.get(name)
        if not isinstance(owner, type):
            return {}
    if owner is None:
        return {}
    return {name: one for name, one in vars(owner).items() if isinstance(one, type)}
