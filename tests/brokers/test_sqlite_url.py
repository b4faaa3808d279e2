"""URLs of SQLite files, and what is said of those that cannot be read."""

from pathlib import Path

import pytest

from ltq.broker import Broker
from ltq.brokers.sqlite import SqliteBroker
from ltq.errors import ConfigurationError


def test_a_relative_path_begins_in_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broker = Broker.from_url("sqlite:///jobs.db")
    assert broker.url == f"sqlite:///{tmp_path}/jobs.db"
    monkeypatch.chdir("/")
    assert broker.clone().url == broker.url


def test_a_path_may_be_absolute_and_hold_any_character(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/my%20jobs%23%3F.db"
    broker = SqliteBroker(f"{url}?sync=normal")
    assert broker.url == url
    assert broker._target.path == tmp_path / "my jobs#?.db"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://host/jobs.db", "it names a host, 'host'"),
        ("sqlite://jobs.db", "it names a host, 'jobs.db'"),
        ("sqlite:///", "it names no file"),
        ("sqlite:////folder/", "it names no file"),
        ("sqlite:///jobs.db#part", "it names no file"),
        ("sqlite:///:memory:", "use memory://"),
        ("sqlite:///jobs.db?sync=off", "sync='off' is not allowed: full or normal"),
        ("sqlite:///jobs.db?sink=full", "unknown parameter 'sink': allowed are history"),
        ("sqlite:///jobs.db?history=2", "history"),
        ("sqlite:///jobs.db?list_final=no", "list_final"),
        ("sqlite:///jobs.db?shared=yes", "shared='yes' is not allowed in a broker URL: 0 or 1"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says.replace("?", r"\?")):
        Broker.from_url(url)
