"""Error reports to Sentry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from ltq._display.errors import cause_of, is_a
from ltq.errors import ConfigurationError, ExhaustedError
from ltq.message import Message
from ltq.middleware.base import Ending, ending_of
from ltq.middleware.observer import Observer
from ltq.task import Task


class Sentry(Observer):
    """Reports what tasks raise to Sentry; needs the extra `ltq[sentry]`.

    `dsn` and further options are those of `sentry_sdk.init`. If the program has set up Sentry
    itself before, as web apps do, that stays as it is, and gets the reports. Each run has its own
    isolation scope with the tags `ltq.task`, `ltq.id` and `ltq.attempt` (from 1), so what the task
    itself reports or logs has them too. Signals (`RetryError`, `RejectError`) are not reported; for
    an `ExhaustedError`, its cause is.

    It is an `Observer`: wherever it is registered, a task that is retried is not reported before it
    has failed for good. Raises `ConfigurationError` for what the SDK refuses, or if sentry-sdk is
    missing.
    """

    def __init__(self, dsn: str | None = None, **options: Any) -> None:
        try:
            self._sdk = import_module("sentry_sdk")
        except ImportError:
            raise ConfigurationError(
                "the Sentry middleware needs sentry-sdk: pip install 'ltq[sentry]'"
            ) from None
        if not self._is_set_up():
            try:
                self._sdk.init(dsn=dsn, **options)
            except (TypeError, ValueError) as error:  # `BadDsn` is one
                raise ConfigurationError(
                    f"Sentry cannot be set up with these options: {error}"
                ) from error

    @property
    def reports_to(self) -> object:
        """The SDK, which has one client in a process."""
        return self._sdk

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Report an error, with tags for the task, its id and the attempt, and raise it again."""
        with self._sdk.isolation_scope() as scope:
            scope.set_tag("ltq.task", message.task_name)
            scope.set_tag("ltq.id", message.id)
            scope.set_tag("ltq.attempt", str(message.tries + 1))
            try:
                yield
            except BaseException as error:
                if ending_of(error) is Ending.FAILED:
                    cause = cause_of(error) if is_a(error, ExhaustedError) else error
                    self._sdk.capture_exception(cause)
                raise

    def _is_set_up(self) -> bool:
        """Whether the program has set up the SDK already."""
        get_client = getattr(self._sdk, "get_client", None)  # older ones do not say
        return get_client is not None and bool(get_client().is_active())
