"""Errors to Sentry, whose package is not installed here: a stand-in takes its place."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from ltq.errors import ConfigurationError, ExhaustedError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware import Sentry
from ltq.worker import Worker


class Sdk(ModuleType):
    """As much of sentry-sdk as is used."""

    def __init__(self) -> None:
        super().__init__("sentry_sdk")
        self.options: list[dict[str, Any]] = []
        self.tags: dict[str, str] = {}
        self.reports: list[tuple[BaseException, dict[str, str]]] = []

    def init(self, **options: Any) -> None:
        self.options.append(options)

    @contextmanager
    def new_scope(self) -> "Iterator[Sdk]":
        self.tags = {}
        yield self
        self.tags = {}

    def set_tag(self, name: str, value: str) -> None:
        self.tags[name] = value

    def capture_exception(self, error: BaseException) -> None:
        self.reports.append((error, dict(self.tags)))


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Sdk:
    sdk = Sdk()
    monkeypatch.setitem(sys.modules, "sentry_sdk", sdk)
    return sdk


async def fail(error: BaseException) -> None:
    """A run that raises `error`."""
    worker = Worker("shop", broker_url="memory://sentry")

    @worker.task
    async def pay() -> None: ...

    message: Message[Any] = Message((), {}, pay.name, id="a1")
    async with Sentry("https://key@example.org/1")(message, pay):
        raise error


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ConfigurationError) as caught:
        Sentry("https://key@example.org/1")
    assert str(caught.value) == "the Sentry middleware needs sentry-sdk: pip install 'ltq[sentry]'"


def test_sentrys_own_options_go_to_sentry(sdk: Sdk) -> None:
    Sentry("https://key@example.org/1", environment="test", sample_rate=0.5)
    assert sdk.options == [
        {"dsn": "https://key@example.org/1", "environment": "test", "sample_rate": 0.5}
    ]


async def test_an_error_is_reported_with_its_task_and_raised_on(sdk: Sdk) -> None:
    error = ValueError("no such card")
    with pytest.raises(ValueError, match="no such card") as caught:
        await fail(error)
    assert caught.value is error
    assert sdk.reports == [(error, {"ltq.task": "shop:pay", "ltq.id": "a1"})]


@pytest.mark.parametrize("error", [RetryError(), RejectError("a duplicate"), KeyboardInterrupt()])
async def test_a_signal_is_not_reported(sdk: Sdk, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await fail(error)
    assert sdk.reports == []


async def test_the_last_failure_of_a_task_that_asked_for_retries_is_reported(sdk: Sdk) -> None:
    cause = OSError("away")
    error = ExhaustedError()
    error.__cause__ = cause
    with pytest.raises(ExhaustedError):
        await fail(error)
    assert [reported for reported, _ in sdk.reports] == [cause]


async def test_a_run_that_returns_reports_nothing(sdk: Sdk) -> None:
    worker = Worker("shop", broker_url="memory://sentry")

    @worker.task
    async def pay() -> None: ...

    async with Sentry("https://key@example.org/1")(Message((), {}, pay.name), pay):
        pass
    assert sdk.reports == []
