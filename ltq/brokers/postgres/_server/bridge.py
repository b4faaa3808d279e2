"""Synchronous code that waits for the event loop: the rules are written as if calls returned at
once, and run in a greenlet that lets the event loop go on meanwhile."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")


async def run(function: Callable[[], T]) -> T:
    """Call a function that may use `wait`."""
    child = greenlet(function)
    child.gr_context = getcurrent().gr_context
    result: Any = child.switch()
    while not child.dead:
        try:
            value = await result
        except BaseException:
            result = child.throw(*sys.exc_info())
        else:
            result = child.switch(value)
    answer: T = result
    return answer


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for something, within a function that `run` has called."""
    parent = getcurrent().parent
    assert parent is not None, "only what `run` calls may wait"
    value: T = parent.switch(awaitable)
    return value
