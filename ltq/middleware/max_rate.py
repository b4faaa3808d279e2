"""Rate limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from ltq.message import Message
from ltq.middleware.base import Middleware
from ltq.task import Task


class MaxRate(Middleware):
    """Makes workers obey `max_rate`.

    The limit holds for all workers together. The broker keeps it: it hands out no more messages
    than may start. So there is nothing to do around the run itself.
    """

    options: ClassVar[frozenset[str]] = frozenset({"max_rate"})

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Do nothing: see the class."""
        yield
