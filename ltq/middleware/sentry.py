"""Error reports to Sentry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from ltq.errors import ConfigurationError, ExhaustedError, SignalError
from ltq.message import Message
from ltq.middleware.base import Ending, Middleware, ending_of
from ltq.task import Task


class Sentry(Middleware):
    """Reports what tasks raise to Sentry; needs the extra `ltq[sentry]`.

    `dsn` and further options are those of `sentry_sdk.init`. Each run has its own isolation scope
    with the tags `ltq.task`, `ltq.id` and `ltq.attempt` (from 1), so what the task itself reports
    or logs has them too. Signals (`RetryError`, `RejectError`) are not reported; for an
    `ExhaustedError`, its cause is.

    Put it first, before `MaxTries`: after it, Sentry would get a report of each failed try. Raises
    `ConfigurationError` if sentry-sdk is missing.
    """

    def __init__(self, dsn: str, **options: Any) -> None:
        try:
            self._sdk = import_module("sentry_sdk")
        except ImportError:
            raise ConfigurationError(
                "the Sentry middleware needs sentry-sdk: pip install 'ltq[sentry]'"
            ) from None
        self._sdk.init(dsn=dsn, **options)

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Report an error, with tags for the task, its id and the attempt, and raise it again."""
        with self._sdk.isolation_scope() as scope:
            scope.set_tag("ltq.task", message.task_name)
            scope.set_tag("ltq.id", message.id)
            scope.set_tag("ltq.attempt", str(message.tries + 1))
            try:
                yield
            except ExhaustedError as error:
                self._sdk.capture_exception(error.__cause__ or error)
                raise
            except SignalError:
                raise
            except BaseException as error:
                if ending_of(error) is Ending.CANCELLED:
                    raise
                self._sdk.capture_exception(error)
                raise
