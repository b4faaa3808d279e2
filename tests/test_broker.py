"""Broker URLs: what is understood, and what never shows."""

import importlib.metadata
import re
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import ltq
from ltq.broker import Broker, redact
from ltq.brokers.memory import MemoryBroker

SECRETS = [
    "redis://:secret@host:1/0",
    "redis://user:secret@host:1/0",
    "redis://:secret?x@host:1/0",
    "redis://:secret#x@host:1/0",
    "redis://:secret/x@host:1/0",
    "foo://:secret?x@host",
    "redis//:secret@host",
    "redis://host:1/0?password=secret",
    "redis://:x?secret=1&secret=2@host:1/0",
]


def _shown(url: str) -> str:
    """What a broker of this URL, or the refusal of it, shows."""
    try:
        return Broker.from_url(url).url
    except ltq.ConfigurationError as error:
        return str(error)


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_never_shows(url: str) -> None:
    assert "secret" not in redact(url)
    assert "host" in redact(url)
    assert "secret" not in _shown(url)


@pytest.mark.parametrize(
    "url",
    ["redis://localhost:port", "redis://localhost:99999", "redis://localhost/0?notifications=x"],
)
def test_a_url_that_cannot_be_read_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ltq.ConfigurationError):
        Broker.from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "memory://one?history=1&history=0",
        "redis://localhost?list_final=1&list_final=1",
        "redis://localhost?client_name=secret&client_name=secret2",
        "rediss://localhost?db=1&db=2",
        "unix:///socket?db=1&history=0&db=1",
        "sqlite:////jobs.db?sync=normal&sync=full",
    ],
)
def test_a_parameter_that_is_given_twice_is_refused(url: str) -> None:
    with pytest.raises(
        ltq.ConfigurationError, match=r"the parameter '\w+' is given twice"
    ) as caught:
        Broker.from_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["memory://one", "redis://localhost", "sqlite:////jobs.db"])
@pytest.mark.parametrize(
    ("name", "says"), [("history", "nothing is counted"), ("list_final", "no list of final tasks")]
)
def test_a_switch_is_0_or_1(url: str, name: str, says: str) -> None:
    text = f"{name}='yes' is not allowed in a broker URL: 0 \\({says}\\) or 1"
    with pytest.raises(ltq.ConfigurationError, match=text):
        Broker.from_url(f"{url}?{name}=yes")


@pytest.mark.parametrize("url", ["localhost:6379", "ftp://localhost", ""])
def test_an_unknown_scheme_names_those_that_are_known(url: str) -> None:
    schemes = (
        "memory://, postgresql://, redis://, redis+cluster://, redis+sentinel://, rediss://, "
        "rediss+cluster://, rediss+sentinel://, sqlite://, unix://"
    )
    with pytest.raises(ltq.ConfigurationError, match=re.escape(schemes)):
        Broker.from_url(url)


def test_an_entry_point_that_makes_something_else_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ltq.broker.base.broker_factory", lambda _: str)
    with pytest.raises(ltq.ConfigurationError, match="entry point of mine:// gave 'mine://a'"):
        Broker.from_url("mine://a")


@pytest.mark.slow
async def test_no_server_is_a_broker_error_in_time(unused_tcp_port: int) -> None:
    worker = ltq.Worker("shop", broker_url=f"redis://:secret@127.0.0.1:{unused_tcp_port}")

    @worker.task
    async def order() -> None:
        return None

    with pytest.raises(ltq.BrokerError, match=f"127.0.0.1:{unused_tcp_port}") as caught:
        await order.send()
    assert "secret" not in str(caught.value)
    app = ltq.App()
    app.register_worker(worker)
    for start in (worker.run, worker.__aenter__, app.run):
        with pytest.raises(ltq.BrokerError):
            await start()


async def test_a_worker_without_tasks_says_so() -> None:
    with pytest.raises(ltq.ConfigurationError, match="no tasks"):
        await ltq.Worker("shop", broker_url="memory://none").run(burst=True)


@pytest.mark.parametrize("option", ["max_tries", "max_age", "max_rate", "backoff", "retry_on"])
async def test_an_option_whose_middleware_is_missing_is_not_ignored(option: str) -> None:
    worker = ltq.Worker("shop", broker_url="memory://none", middlewares=[])
    values = {"max_tries": 1, "max_age": 1.0, "max_rate": "1/s", "backoff": 1, "retry_on": OSError}

    async def order() -> None:
        return None

    decorate: Any = worker.task
    decorate(**{option: values[option]})(order)

    with pytest.raises(ltq.ConfigurationError, match=f"order.*{option}"):
        await worker.run()


class Entries(list[Any]):
    """The entry points of `ltq.brokers`, as a package that brings one has them."""

    @property
    def names(self) -> set[str]:
        return {one.name for one in self}

    def select(self, *, name: str) -> list[Any]:
        return [one for one in self if one.name == name]


def mine(url: str) -> Broker:
    return MemoryBroker(url.replace("mine", "memory"))


def test_a_package_may_bring_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", "tests.test_broker:mine", "ltq.brokers")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: Entries([entry]))
    assert isinstance(Broker.from_url("mine://a"), MemoryBroker)
    with pytest.raises(ltq.ConfigurationError, match="memory://, mine://, postgresql://"):
        Broker.from_url("other://a")
