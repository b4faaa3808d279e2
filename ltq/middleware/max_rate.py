"""Rate limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from ltq.message import Message
from ltq.middleware.base import Middleware
from ltq.task import Task


class MaxRate(Middleware):
    """Lets workers honour `max_rate`.

    The limit holds over all workers together and before a message is claimed: the broker hands
    out no more than may start. So there is nothing left to do around the run itself.
    """

    options: ClassVar[frozenset[str]] = frozenset({"max_rate"})

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Nothing: see the class."""
        yield
