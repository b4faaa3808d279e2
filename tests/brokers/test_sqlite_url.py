"""URLs of SQLite files, and what is said of those that cannot be read."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import ltq
from ltq.broker import Broker
from ltq.brokers.sqlite import SqliteBroker
from ltq.errors import BrokerError, ConfigurationError
from ltq.state import Status


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
    assert broker._settings.path == tmp_path / "my jobs#?.db"


def test_a_working_folder_that_is_gone_matters_to_relative_paths_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Broker.from_url(f"sqlite:///{tmp_path}/jobs.db").url == f"sqlite:///{tmp_path}/jobs.db"
    with pytest.raises(ConfigurationError, match="its path is relative, and there is no working"):
        Broker.from_url("sqlite:///jobs.db")


NOT_UTF_8 = os.fsdecode(b"caf\xe9")
"""The name of a folder, in bytes that are no UTF-8."""


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
async def test_a_path_need_not_be_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / NOT_UTF_8).mkdir()
    monkeypatch.chdir(folder)
    url = f"sqlite:///{tmp_path}/caf%E9/%FF.db"
    for given in (url, "sqlite:///%FF.db", f"sqlite:///{folder}/%FF.db"):
        async with Broker.from_url(given) as broker:
            assert broker.url == url
            await broker.ping()
    assert b"\xff.db" in os.listdir(os.fsencode(folder))


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
async def test_what_is_told_of_such_a_path_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder := tmp_path / NOT_UTF_8).mkdir()
    async with Broker.from_url(f"sqlite:///{folder}/jobs.db") as broker:
        await broker.ping()
        os.replace(folder / "jobs.db", folder / "old.db")
        await broker.ping()
    assert "caf\\udce9/jobs.db was deleted or replaced" in caplog.text
    caplog.text.encode()
    (folder / "text.db").write_text("hello")
    with pytest.raises(BrokerError, match="damaged") as refused:
        await Broker.from_url(f"sqlite:///{folder}/text.db").ping()
    str(refused.value).encode()


def test_a_task_is_sent_in_a_transaction_to_a_file_whose_name_is_not_utf_8(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder := tmp_path / NOT_UTF_8).mkdir()
    worker = ltq.Worker("mail", broker_url=f"sqlite:///{tmp_path}/caf%E9/jobs.db")

    @worker.task
    def work(number: int) -> int:
        return number

    with closing(sqlite3.connect(folder / "jobs.db")) as connection:
        handle = work.with_options(connection=connection).send_sync(1)
        connection.commit()
    assert handle.state().status is Status.PENDING
    ltq.close_sync()
    assert caplog.messages == [], "the log that its first reader makes is its own"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://host/jobs.db", "it names a host, 'host'"),
        ("sqlite://jobs.db", "it names a host, 'jobs.db'"),
        ("sqlite:///", "it names no file"),
        ("sqlite:////folder/", "it names no file"),
        ("sqlite:///jobs#1.db", "'sqlite:///jobs#1.db' cannot be read: a # .* is written %23"),
        ("sqlite:////srv/me@corp/jobs.db?sync=bad", "'sqlite:////srv/me@corp/jobs.db' cannot"),
        (
            "sqlite:////srv/me@corp/jobs.db?shared=1&shared=1",
            "URL 'sqlite:////srv/me@corp/jobs.db'",
        ),
        ("sqlite://me:secret@corp/jobs.db", "URL 'sqlite://corp/jobs.db'"),
        ("sqlite:///jobs\ud800.db", "no file has such a name"),
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
