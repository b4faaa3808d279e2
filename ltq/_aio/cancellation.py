"""Whether a `CancelledError` is a cancellation, or an error like any other."""

import asyncio


def is_cancelled() -> bool:
    """Whether the running asyncio task is being cancelled."""
    running = asyncio.current_task()
    return running is None or running.cancelling() > 0


def is_cancellation(error: BaseException) -> bool:
    """Whether an error means that the running asyncio task is being cancelled."""
    kind = type(error)  # an error's `__class__`, which `isinstance` asks, may say or raise anything
    return issubclass(kind, asyncio.CancelledError) and is_cancelled()
