"""Looking something up once for all who want to know at the same time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from copy import copy
from typing import Any, Generic, TypeVar

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,  # noqa: A004  redis-py's name
    NoPermissionError,
)

from ltq._aio.service import Service, cancel_all, spawn
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.whereabouts import NowhereError

T = TypeVar("T")

_OTHERS_WITHIN = 0.3
"""Seconds that are waited for a better answer than the first one."""

_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)


class Lookup(Service, Generic[T]):
    """Makes one attempt at a time for all callers in an event loop.

    As a service it runs during an attempt.
    """

    def __init__(self, name: str, find: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__(name, logging.getLogger("ltq.broker"))
        self._find = find
        self._found: list[T] = []
        self._error: Exception | None = None

    async def __call__(self) -> T:
        """What is found. Raises a copy of what the attempt raised."""
        self.start()
        await self.wait()  # if this caller gives up, the attempt goes on for the others
        if self._error is not None:
            raise copy(self._error)
        if not self._found:
            raise ConnectionError("the broker was closed")
        return self._found[-1]

    async def _run(self) -> None:
        self._found, self._error = [], None
        try:
            self._found = [await self._find()]
        except Exception as error:  # each caller raises a copy, without its frames
            self._error = error.with_traceback(None)


async def first_answer(
    nodes: Iterable[Address],
    ask: Callable[[Address], Coroutine[Any, Any, T]],
    errors: dict[Address, Exception],
    *,
    is_wanted: Callable[[T], bool],
    stagger: float,
    within: float,
) -> T | None:
    """Ask several servers, for at most `within` seconds, until an answer is wanted.

    The next one is asked when another has failed, or did not answer for `stagger` seconds. After
    an answer that is not wanted, the others have `_OTHERS_WITHIN` seconds. What went wrong is put
    into `errors`.
    """
    loop = asyncio.get_running_loop()
    left, end = list(nodes), loop.time() + within
    asking: dict[asyncio.Task[T], Address] = {}
    try:
        while (left or asking) and loop.time() < end:
            if left:
                node = left.pop(0)
                asking[spawn(ask(node), name="ltq-redis-ask")] = node
            until = min(end, loop.time() + stagger) if left else end
            done, _ = await asyncio.wait(
                asking, timeout=max(0, until - loop.time()), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                node = asking.pop(task)
                error = task.exception()
                if error is not None:
                    errors[node] = error if isinstance(error, Exception) else OSError(str(error))
                elif is_wanted(task.result()):
                    return task.result()
                else:
                    end = min(end, loop.time() + _OTHERS_WITHIN)
    finally:
        errors |= dict.fromkeys(asking.values(), OSError("no answer"))
        await cancel_all(asking)
    return None


def failure(kind: str, errors: dict[Address, Exception]) -> Exception:
    """What to raise when no server has given an answer that is of use."""
    refused = [(at, error) for at, error in errors.items() if isinstance(error, _REFUSALS)]
    for at, error in refused:
        if isinstance(error, NowhereError):
            return error
        return NowhereError(f"the {kind} {at} refused the user or password: {error}")
    told = ", ".join(f"{at} ({str(error) or type(error).__name__})" for at, error in errors.items())
    return ConnectionError(f"no {kind} answers: {told}")
