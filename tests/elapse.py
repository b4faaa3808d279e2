"""Time that has to pass: the last resort of a test, with its reason.

Whatever can be waited for as an event is (`eventually`, a gate of the ledger, a line of a log).
What is left: a fault that lasts, a rate that is measured, and that nothing happens for a while.
"""

import asyncio

LONGEST = 15.0
"""Seconds; who needs more tests the wrong thing."""


async def elapse(seconds: float, why: str) -> None:
    """Let so many seconds pass, because `why`."""
    assert seconds <= LONGEST, f"{why}: {seconds:g} s"
    await asyncio.sleep(seconds)
