"""Errors to Sentry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from ltq.errors import ConfigurationError, ExhaustedError, SignalError
from ltq.message import Message
from ltq.middleware.base import Middleware
from ltq.task import Task


class Sentry(Middleware):
    """Reports what tasks raise to Sentry; needs the extra `ltq[sentry]`.

    `dsn` and further options are those of `sentry_sdk.init`. Signals (`RetryError`,
    `RejectError`) are not reported. Raises `ConfigurationError` if sentry-sdk is missing.
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
        """Report an error, tagged with the task and its id, and raise it on."""
        try:
            yield
        except ExhaustedError as error:
            self._report(error.__cause__ or error, message)
            raise
        except SignalError:
            raise
        except Exception as error:
            self._report(error, message)
            raise

    def _report(self, error: BaseException, message: Message[Any]) -> None:
        with self._sdk.new_scope() as scope:
            scope.set_tag("ltq.task", message.task_name)
            scope.set_tag("ltq.id", message.id)
            self._sdk.capture_exception(error)
