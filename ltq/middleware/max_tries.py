"""Retrying tasks that fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

from ltq._aio.cancellation import is_cancellation
from ltq._display.errors import cause_of, is_a, text_of
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware._retry_delay import next_pause
from ltq.middleware.base import Middleware
from ltq.options import RetryOn
from ltq.task import Task


class MaxTries(Middleware):
    """Runs a failing task again, until `max_tries` runs have failed in all.

    The pause before the next try is `backoff` seconds, doubled each time, with full jitter; or it
    is what the function `backoff` returns. `retry_on` says after which errors the task is retried.
    A `RetryError` has its own delay, but uses up a try like any other failure.
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
            if most is None or failed >= most or not _is_retried(task.config.retry_on, error):
                raise
            raise RetryError(next_pause(task.config.backoff, failed), text_of(error)) from error


def _is_retried(retry_on: RetryOn | None, error: BaseException) -> bool:
    if retry_on is None:
        return True
    if isinstance(retry_on, tuple | type):
        return is_a(error, retry_on)
    return retry_on(cast(Exception, error))  # most are, and functions of users are typed so
