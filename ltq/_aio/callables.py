"""What a callable gives: a value, something to be awaited, or values one by one."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import CO_COROUTINE, CO_ITERABLE_COROUTINE
from types import CodeType, GeneratorType, SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_AWAITABLE = re.compile(r"([\w.]+\.)?(Awaitable|Coroutine)\b|asyncio\.(Future|Task)\b")
"""A postponed annotation that says so, if its names are not to be found when the program runs."""

_GIVES_AWAITABLE = CO_COROUTINE | CO_ITERABLE_COROUTINE
"""The flags in the code of a generator that can be awaited."""

_STARTS = {
    "create_future",
    "create_task",
    "current_task",
    "ensure_future",
    "gather",
    "get_running_loop",
    "run_in_executor",
    "shield",
}
"""Names in the code of functions that need a running event loop."""

_RUNS = {"Runner", "async_to_sync", "run", "run_coroutine_threadsafe", "run_until_complete"}
"""Names in the code of functions that run a coroutine by themselves."""

_NOT_WITH_RUN = {"create_task", "ensure_future", "gather", "shield"}
"""Names that show, without a look for a running loop, that `run` is not `asyncio.run`."""


def function_of(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that is called: below a `partial`, a `staticmethod`, a callable object."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif isinstance(fn, staticmethod) or inspect.ismethod(fn):
            fn = fn.__func__
        elif inspect.isroutine(fn) or isinstance(fn, type):
            return fn
        else:
            fn = type(fn).__call__


def annotated_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that the annotations are of: what wrappers wrap, see `functools.wraps`."""
    while True:
        inner = inspect.unwrap(fn)
        below = function_of(inner)
        if below is fn:
            return fn
        fn = below


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: an `async def`, or what says that it is like one."""
    while isinstance(fn, partial | staticmethod):
        fn = fn.func if isinstance(fn, partial) else fn.__func__
    for one in (fn, function_of(fn)):
        # Until Python 3.12, asyncio had a mark of its own, which libraries still set.
        marked = getattr(one, "_is_coroutine", None) is getattr(
            asyncio.coroutines, "_is_coroutine", one
        )
        if inspect.iscoroutinefunction(one) or marked:
            return True
    code = getattr(function_of(fn), "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & CO_ITERABLE_COROUTINE)


def yields(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator, with or without `async`."""
    function = function_of(fn)
    if is_coroutine_function(fn):
        return False
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def yields_in_loop(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator with `async`."""
    return yields(fn) and inspect.isasyncgenfunction(function_of(fn))


def belongs_in_loop(fn: Callable[..., Any]) -> bool:
    """Whether it is called in an event loop, not in a thread: what it gives is awaited.

    A plain function that hides a coroutine function is called in a thread: it may run the coroutine
    by itself. It is called in the event loop if its code says that it needs one.
    """
    if is_coroutine_function(fn):
        return True
    function = function_of(fn)
    says = _says_awaitable(_returned(function))
    if says and not hasattr(function, "__wrapped__"):
        return True  # a wrapper may have the annotation of what it wraps
    names = {*getattr(getattr(function, "__code__", None), "co_names", ())}
    if names & _NOT_WITH_RUN and "get_running_loop" not in names:
        names.discard("run")
    if names & _RUNS:
        return False
    return says or (is_coroutine_function(annotated_function(fn)) and bool(names & _STARTS))


def _returned(function: Callable[..., Any]) -> object:
    """The annotation of a function's result, as it is written if it means nothing at run time."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    holder = SimpleNamespace(__annotations__={"return": annotation})
    try:
        return get_type_hints(holder, getattr(function, "__globals__", {}))["return"]
    except Exception:  # whatever an expression raises: the codec looks at it later
        return annotation


def _says_awaitable(annotation: object) -> bool:
    """Whether some value of this type has to be awaited."""
    if isinstance(annotation, str):
        return any(_AWAITABLE.match(part.strip()) for part in annotation.split("|"))
    annotation = getattr(annotation, "__value__", annotation)  # what a `type` alias stands for
    origin = get_origin(annotation) or annotation
    if origin in (Union, UnionType):
        return any(map(_says_awaitable, get_args(annotation)))
    return isinstance(origin, type) and issubclass(origin, Awaitable)


def name_of(fn: object) -> str | None:
    """The name of a callable, a `partial` has that of its function; None if there is none."""
    while isinstance(fn, partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else None


def is_awaitable(value: object) -> bool:
    """Whether `await` takes it. Quick for what it does not take."""
    if hasattr(type(value), "__await__"):
        return True
    return type(value) is GeneratorType and bool(value.gi_code.co_flags & _GIVES_AWAITABLE)
