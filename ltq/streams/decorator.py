"""What makes tasks of functions: of generators, tasks that yield items."""

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol, overload

from typing_extensions import ParamSpec, TypeVar

from ltq.streams.task import StreamTask
from ltq.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class TaskDecorator(Protocol):
    """What `@worker.task(...)` returns: a decorator that keeps the types of its function."""

    # A coroutine is awaitable as well. It has its own overload, and the last one says `Awaitable`
    # again, because mypy gives up on a `Coroutine[Any, Any, R]` that fits overloads of different
    # results.
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, AsyncIterable[T]], /) -> StreamTask[P, T]: ...
    @overload
    def __call__(self, fn: Callable[P, Iterator[T]], /) -> StreamTask[P, T]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R] | R], /) -> Task[P, R]: ...
