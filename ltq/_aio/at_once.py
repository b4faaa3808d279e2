"""Running a coroutine that waits for nothing, without an event loop."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in this thread, and return what it returns. At most it lets others run.

    Raises `RuntimeError` if it waits for something: that needs an event loop.
    """
    try:
        while work.send(None) is None:  # as `asyncio.sleep(0)` does
            pass
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise RuntimeError("the coroutine waits for something, which needs an event loop")
