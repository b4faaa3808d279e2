"""Whether a server fails to answer, and when it came back."""

import asyncio
import math

OUTAGE = 1.0
"""Seconds without a successful call that count as an outage."""


class Outage:
    """What the calls of a link tell of its server."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Since when calls fail, by the event loop's clock; None while they succeed."""
        self.ended: float = -math.inf
        """When the last one ended that lasted."""

    def failed(self) -> None:
        """A call has failed, or was given up in a long silence."""
        if self.since is None:
            self.since = asyncio.get_running_loop().time()

    def is_over(self) -> None:
        """A call was answered."""
        now = asyncio.get_running_loop().time()
        if self.since is not None and now - self.since >= OUTAGE:
            self.ended = now
        self.since = None
