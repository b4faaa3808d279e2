"""Retrying tasks that fail."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

from ltq._aio.cancellation import is_cancellation
from ltq._display.errors import cause_of, is_a, name_of, text_of
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.logger import ThrottledLogger
from ltq.message import Message
from ltq.middleware._retry_delay import next_pause
from ltq.middleware.base import Middleware
from ltq.options import RetryOn
from ltq.task import Task

logger: logging.Logger = logging.getLogger("ltq.worker")

_TELL_EVERY = 60.0
"""Seconds between two warnings about the same option of the same task."""

_told: WeakKeyDictionary[Task[..., Any], dict[str, ThrottledLogger]] = WeakKeyDictionary()
"""What logs about the options of a task."""


class MaxTries(Middleware):
    """Runs a failing task again, until `max_tries` runs have failed in all.

    The pause before the next try is `backoff` seconds, doubled each time, with full jitter; or it
    is what the function `backoff` returns. `retry_on` says after which errors the task is retried.
    A `RetryError` has its own delay, but uses up a try like any other failure.

    If such a function raises, or returns nonsense, the task runs again as if it had not been given,
    and a warning is logged at most once a minute for each task. The task's own error stays.
    """

    options: ClassVar[frozenset[str]] = frozenset({"max_tries", "backoff", "retry_on"})

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Turn a failure into `RetryError` while tries are left."""
        try:
            yield
        except (RejectError, ExhaustedError):
            raise
        except BaseException as error:
            if is_cancellation(error):
                raise
            failed = message.tries + 1
            most = message.options.max_tries or task.config.max_tries
            if is_a(error, RetryError):
                if most is not None and failed >= most:
                    raise ExhaustedError from cause_of(error)
                raise
            if most is None or failed >= most or not self._is_retried(task, message, error):
                raise
            raise RetryError(self._pause(task, message, failed), text_of(error)) from error

    def _is_retried(
        self, task: Task[..., Any], message: Message[Any], error: BaseException
    ) -> bool:
        try:
            return bool(_is_retried(task.config.retry_on, error))
        except BaseException as broken:  # whatever a function of the user raises
            _tell(task, message, "retry_on", broken, "it is tried again")
            return True

    def _pause(self, task: Task[..., Any], message: Message[Any], failed: int) -> float:
        try:
            return next_pause(task.config.backoff, failed)
        except BaseException as broken:  # whatever a function of the user raises
            _tell(task, message, "backoff", broken, "the pause is a default one")
            return next_pause(None, failed)


def _tell(
    task: Task[..., Any], message: Message[Any], option: str, broken: BaseException, instead: str
) -> None:
    """Log what came of an option that is a function of the user."""
    told = _told.setdefault(task, {}).setdefault(option, ThrottledLogger(logger, _TELL_EVERY))
    text = f"{name_of(broken)}: {text_of(broken)}"
    told.warning("%s %s: its %s failed: %s; %s", task.name, message.id, option, text, instead)


def _is_retried(retry_on: RetryOn | None, error: BaseException) -> bool:
    if retry_on is None:
        return True
    if isinstance(retry_on, tuple | type):
        return is_a(error, retry_on)
    return retry_on(cast(Exception, error))  # most are, and functions of users are typed so
