"""The `OPTIONS` of `LtqBackend`, and what may be wrong with them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ltq._display.suggestions import suggestion
from ltq._display.values import short_repr
from ltq.broker.default import broker_at
from ltq.errors import ConfigurationError
from ltq.names import check_worker_name
from ltq.options import DEFAULT_RESULT_TTL, seconds

ALLOWED = ("broker_url", "result_ttl", "worker")


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """The checked options."""

    broker_url: str | None = None
    """A URL or the `@name` of a broker; None for what a `Worker` takes without one."""
    worker: str = "django"
    """The name of the worker, and the beginning of its queues' names."""
    result_ttl: float = DEFAULT_RESULT_TTL
    """Seconds that results are kept."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an option."""

    id: str
    """The id of the system check."""
    text: str


def problems(options: object, *, with_broker: bool = True) -> Iterator[Problem]:
    """What is wrong, one by one; with the broker, one is made, but not called."""
    if not isinstance(options, Mapping):
        yield Problem("ltq.E001", f"OPTIONS={short_repr(options)} is not allowed: a dict")
        return
    for option in options:
        if option not in ALLOWED:
            near = suggestion(str(option), ALLOWED, {})
            text = f"unknown option {option!r}: {near}allowed are {', '.join(ALLOWED)}"
            yield Problem("ltq.E001", text)
    for identifier, check in (
        ("ltq.E002", _check_broker if with_broker else _check_url),
        ("ltq.E003", _check_worker),
        ("ltq.E004", _check_result_ttl),
    ):
        try:
            check(options)
        except ConfigurationError as error:
            yield Problem(identifier, str(error))


def read_options(options: Any) -> BackendOptions:
    """The checked options. Raises `ConfigurationError` for the first that is wrong."""
    for problem in problems(options, with_broker=False):  # the first use makes one
        raise ConfigurationError(problem.text)
    default = BackendOptions()
    return BackendOptions(
        broker_url=options.get("broker_url"),
        worker=options.get("worker", default.worker),
        result_ttl=_check_result_ttl(options),
    )


def worker_name(options: object) -> str:
    """The name of the worker; the default one in place of a wrong one, which the checks tell.

    Modules with tasks are imported before the system checks run.
    """
    with suppress(ConfigurationError):
        if isinstance(options, Mapping):
            return check_worker_name(options.get("worker", BackendOptions().worker))
    return BackendOptions().worker


def _check_broker(options: Mapping[Any, Any]) -> None:
    _check_url(options)
    broker_at(options.get("broker_url"))


def _check_url(options: Mapping[Any, Any]) -> None:
    url = options.get("broker_url")
    if not (url is None or isinstance(url, str)):
        raise ConfigurationError(
            f"broker_url={short_repr(url)} is not allowed: a URL, or the @name of a broker"
        )


def _check_worker(options: Mapping[Any, Any]) -> None:
    check_worker_name(options.get("worker", BackendOptions().worker))


def _check_result_ttl(options: Mapping[Any, Any]) -> float:
    given: float | timedelta = options.get("result_ttl", DEFAULT_RESULT_TTL)
    return seconds("result_ttl", given, zero=True)
