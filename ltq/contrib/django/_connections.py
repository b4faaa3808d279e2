"""Django's database connections around tasks, as Django keeps them around requests."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections, reset_queries

from ltq.message import Message
from ltq.middleware import Middleware
from ltq.task import Task
from ltq.worker import Worker


class Connections(Middleware):
    """Closes old connections around coroutines, in the thread in which their ORM calls run."""

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Around one run."""
        if not task.is_async:  # its thread does it: see `close_around`
            yield
            return
        await sync_to_async(_begin)()
        try:
            yield
        finally:
            await sync_to_async(close_old_connections)()


def close_around(worker: Worker[Any]) -> None:
    """Let old connections be closed around all tasks of a worker.

    Plain functions do it themselves: a connection belongs to the thread that calls them, and no
    middleware is in that thread.
    """
    if not any(isinstance(one, Connections) for one in worker.middlewares):
        worker.register_middleware(Connections(), 0)
    for task in worker.tasks.values():
        if not (task.is_async or isinstance(task.fn, _Closing)):
            task.fn = _Closing(task.fn)


class _Closing:
    """A function with old connections closed before it and after it."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _begin()
        try:
            return self._fn(*args, **kwargs)
        finally:
            close_old_connections()


def _begin() -> None:
    reset_queries()  # with DEBUG they are kept
    close_old_connections()
