"""The observers around a run: they see how it ended, and change nothing."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from ltq._aio.cancellation import is_cancellation
from ltq.message import Message
from ltq.middleware import Observer
from ltq.task import Task

logger = logging.getLogger("ltq.worker")


_OBSERVER_PATIENCE = 1.0
"""Seconds that an observer of a task with a timeout has to begin, and to end."""


class Observation:
    """The observers of one run. If its task has a timeout, so have they."""

    def __init__(self, observers: Sequence[Observer], *, has_timeout: bool) -> None:
        self._observers = observers
        self._patience = _OBSERVER_PATIENCE if has_timeout else None
        self._entered: list[tuple[Observer, AbstractAsyncContextManager[None]]] = []

    async def begin(self, message: Message[Any], task: Task[..., Any]) -> None:
        """Enter the observers. One that fails is left out. Raises only `asyncio.CancelledError`."""
        for observer in self._observers:
            try:
                async with asyncio.timeout(self._patience):
                    manager = observer(message, task)
                    await manager.__aenter__()
            except BaseException as error:
                if is_cancellation(error):
                    raise
                self._log(observer, message, error)
            else:
                self._entered.append((observer, manager))

    async def end(self, message: Message[Any], ended: BaseException | None) -> None:
        """Leave the observers, the last one first, with the error that the run ended with.

        Raises nothing: that the run is cancelled meanwhile does not change how it ended.
        """
        for observer, manager in reversed(self._entered):
            try:
                async with asyncio.timeout(self._patience):
                    await manager.__aexit__(
                        None if ended is None else type(ended),
                        ended,
                        None if ended is None else ended.__traceback__,
                    )
            except BaseException as error:
                if error is not ended and not is_cancellation(error):
                    self._log(observer, message, error)

    def _log(self, observer: Observer, message: Message[Any], error: BaseException) -> None:
        text = "%s %s: observer %r failed"
        with suppress(BaseException):  # users' log handlers
            logger.error(text, message.task_name, message.id, observer, exc_info=error)
