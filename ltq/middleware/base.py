"""The base of all middleware."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, ClassVar

from ltq._display.errors import is_a
from ltq.errors import RejectError, RetryError
from ltq.message import Message
from ltq.task import SendHook, Task


class Middleware(SendHook, ABC):
    """Wraps each run of each task of a worker.

        class Log(Middleware):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                print("begin", message.id)
                yield
                print("end", message.id)

    An error of the task is raised at the `yield`. A middleware may itself raise `RetryError`,
    `RejectError` or `ExhaustedError`, before or after that, and write to `message.ctx`.

    With an `on_send` it also sees each message in the process that sends it:

            def on_send(self, message: Message, task: Task) -> None:
                message.ctx["sent_by"] = socket.gethostname()

    So it must be among the worker's middleware in that process as well. An `App` adds its
    middleware to its workers; in a producer that does not import the app, it is missing.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    """The task options that this middleware implements. If there are any, it is entered only for
    tasks that declare one of them."""

    @abstractmethod
    def __call__(
        self, message: Message[Any], task: Task[..., Any]
    ) -> AbstractAsyncContextManager[None]:
        """The context manager around one run."""


class Ending(StrEnum):
    """How a run ended, as a middleware around it sees it."""

    COMPLETED = "completed"
    FAILED = "failed"
    """It raised an error. Within `MaxTries`, which may retry the task, every error counts; an
    `Observer` is never within it."""
    RETRIED = "retried"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    """The task was cancelled, or runs elsewhere: its lease was lost, or its worker stopped."""


def ending_of(error: BaseException | None) -> Ending:
    """How a run ended, from the error at the `yield` of a middleware, or None if there was none."""
    if error is None:
        return Ending.COMPLETED
    if is_a(error, RetryError):
        return Ending.RETRIED
    if is_a(error, RejectError):
        return Ending.REJECTED
    # Whatever else a run raises, a SystemExit or an exception of any other class, is its failure.
    return Ending.CANCELLED if is_a(error, asyncio.CancelledError) else Ending.FAILED
