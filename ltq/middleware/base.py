"""The base of all middleware."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from ltq.message import Message
from ltq.task import Task


class Middleware(ABC):
    """Wraps each run of each task of a worker.

        class Log(Middleware):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                print("begin", message.id)
                yield
                print("end", message.id)

    What the task raises is raised at the `yield`. A middleware may raise `RetryError`,
    `RejectError` or `ExhaustedError` itself, before or after it, and write to `message.ctx`.
    """

    options: ClassVar[frozenset[str]] = frozenset()
    """Task options that this middleware implements. If it names any, it is entered only for
    tasks that declare one of them."""

    @abstractmethod
    def __call__(
        self, message: Message[Any], task: Task[..., Any]
    ) -> AbstractAsyncContextManager[None]:
        """The context manager around one run."""
