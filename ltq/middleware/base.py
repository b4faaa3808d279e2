"""The base of all middleware."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, ClassVar

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

    What the task raises is raised at the `yield`. A middleware may raise `RetryError`,
    `RejectError` or `ExhaustedError` itself, before or after it, and write to `message.ctx`.

    With an `on_send` of its own it also sees each message in the process that sends it:

            def on_send(self, message: Message, task: Task) -> None:
                message.ctx["sent_by"] = socket.gethostname()

    In that process it has to be among the worker's middleware as well. An `App` adds its middleware
    to the workers registered with it, so a producer that does not import the app does without.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    """Task options that this middleware implements. If there are any, it is entered only for tasks
    that declare one of them."""

    @abstractmethod
    def __call__(
        self, message: Message[Any], task: Task[..., Any]
    ) -> AbstractAsyncContextManager[None]:
        """The context manager around one run."""


class Ending(StrEnum):
    """How a run ended, as a middleware around it sees it."""

    COMPLETED = "completed"
    FAILED = "failed"
    """By an error. Inside `MaxTries`, which may turn a failure into another try, every error."""
    RETRIED = "retried"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    """The task was cancelled, or runs elsewhere: its lease was lost, or its worker stopped."""


def ending_of(error: BaseException | None) -> Ending:
    """How a run ended, from the error at the `yield` of a middleware; None: it returned."""
    if error is None:
        return Ending.COMPLETED
    if isinstance(error, RetryError):
        return Ending.RETRIED
    if isinstance(error, RejectError):
        return Ending.REJECTED
    # A SystemExit ends a run as a failure. Whatever else is no Exception is a cancellation.
    return Ending.FAILED if isinstance(error, Exception | SystemExit) else Ending.CANCELLED
