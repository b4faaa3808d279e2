"""The observers around a run: they see how it ended, and change nothing."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from ltq._display.errors import is_a
from ltq.message import Message
from ltq.middleware import Observer
from ltq.task import Task

logger = logging.getLogger("ltq.worker")


class Observation:
    """The observers of one run. `patience` is how many seconds each has to begin, and to end."""

    def __init__(self, observers: Sequence[Observer], patience: float | None) -> None:
        self._observers = observers
        self._patience = patience
        self._entered: list[tuple[Observer, AbstractAsyncContextManager[None]]] = []

    async def begin(self, message: Message[Any], task: Task[..., Any]) -> None:
        """Enter the observers. One that fails is left out. Raises only `asyncio.CancelledError`."""
        for observer in self._observers:
            try:
                async with asyncio.timeout(self._patience):
                    manager = observer(message, task)
                    await manager.__aenter__()
            except BaseException as error:
                if _is_cancelled(error):
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
                if error is not ended and not _is_cancelled(error):
                    self._log(observer, message, error)

    def _log(self, observer: Observer, message: Message[Any], error: BaseException) -> None:
        text = "%s %s: observer %r failed"
        with suppress(BaseException):  # users' log handlers
            logger.error(text, message.task_name, message.id, observer, exc_info=error)


def _is_cancelled(error: BaseException) -> bool:
    """Whether an error means that this asyncio task is cancelled."""
    running = asyncio.current_task()
    is_cancelling = running is not None and running.cancelling() > 0
    return is_a(error, asyncio.CancelledError) and is_cancelling
