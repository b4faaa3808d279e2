"""The worker that sends emails, over one connection that its lifespan opens and closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ltq


class Outbox:
    """Stands in for a connection to a mail server."""

    def __init__(self) -> None:
        self.sent = 0

    async def deliver(self, to: str, subject: str) -> str:
        """Send one email; returns the server's name for it."""
        await asyncio.sleep(0.01)
        self.sent += 1
        print(f"to {to}: {subject}")
        return f"{to}/{self.sent}"


@asynccontextmanager
async def connect(_: ltq.Worker[Any]) -> AsyncIterator[Outbox]:
    """Open the connection when the worker starts, and close it after its last task."""
    outbox = Outbox()
    print("outbox: connected")
    try:
        yield outbox
    finally:
        print(f"outbox: closed after {outbox.sent} emails")


worker = ltq.Worker("emails", lifespan=connect)


@worker.task(max_tries=3, max_rate="50/s")
async def send_email(to: str, subject: str) -> str:
    """Send one email. Type checkers know that `worker.resource` is the `Outbox`."""
    return await worker.resource.deliver(to, subject)
