"""Whether a `CancelledError` is a cancellation, or an error like any other."""

import asyncio


def is_cancelled() -> bool:
    """Whether the running asyncio task is being cancelled. Else somebody raised the error."""
    running = asyncio.current_task()
    return running is None or running.cancelling() > 0
