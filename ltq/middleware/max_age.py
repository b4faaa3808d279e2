"""Rejecting tasks that are too old."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from ltq.errors import RejectError
from ltq.message import Message
from ltq.middleware.base import Middleware
from ltq.task import Task


class TooOldError(RejectError):
    """The task is too old. The worker adds the last error, if an earlier run has failed."""


class MaxAge(Middleware):
    """Rejects a task that starts later than `max_age` after it was sent, by the broker's clock.

    Its age counts from the send, or from the replay of its dead letter: the time in the queue, its
    delay and all that came before a retry count. The error of the last run that failed is kept.
    """

    options: ClassVar[frozenset[str]] = frozenset({"max_age"})

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Reject the message if it is too old, else let it run."""
        most = task.config.max_age
        sent, claimed = message.enqueue_time, message.dequeue_time
        if most is not None and sent is not None and claimed is not None:
            age = claimed - sent
            if age > most:
                raise TooOldError(f"too old: sent {age:.3f} s ago, max_age is {most:g} s")
        yield
