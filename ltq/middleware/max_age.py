"""Messages that are too old."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ltq._clock import Clock
from ltq.errors import RejectError
from ltq.message import Message
from ltq.middleware.base import Middleware
from ltq.task import Task


class MaxAge(Middleware):
    """Rejects a task that starts later than `max_age` after it was sent."""

    options = frozenset({"max_age"})

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Look at the message's age, then let it run."""
        most = task.policy.max_age
        if most is not None and message.enqueue_time is not None:
            age = self._clock() - message.enqueue_time
            if age > most:
                raise RejectError(f"too old: sent {age:.3f} s ago, max_age is {most:g} s")
        yield
