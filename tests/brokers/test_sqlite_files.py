"""What may stand in the place of a file of LTQ: it is told, and nothing is overwritten."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file import opening, schema, tables
from ltq.brokers.sqlite._file.schema import APPLICATION_ID, VERSION
from ltq.errors import BrokerError
from ltq.message import Envelope, Published, new_id


def envelope(**fields: object) -> Envelope:
    return Envelope(id=new_id(), queue="mail", task_name="mail", body=b"{}")


async def _send(path: Path) -> None:
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        assert await broker.publish([envelope()]) == [Published.CREATED]


def error_of(path: Path) -> BrokerError:
    """What the first call on a file raises. It is one line that names the file."""
    with pytest.raises(BrokerError) as caught:
        asyncio.run(_send(path))
    assert not caught.value.is_away
    assert "\n" not in str(caught.value)
    return caught.value


def _other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE albums (name TEXT)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE IF NOT EXISTS ltq_schema (version INTEGER)")
        connection.execute("DELETE FROM ltq_schema")
        connection.execute(f"INSERT INTO ltq_schema VALUES ({VERSION + 1})")


def _no_version(path: Path) -> None:
    asyncio.run(_send(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM ltq_schema")


def _odd_version(path: Path) -> None:
    _no_version(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO ltq_schema VALUES ('new')")


def _text(path: Path) -> None:
    path.write_text("dear diary\n" * 1000)


def _truncated(path: Path) -> None:
    asyncio.run(_send(path))
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_text, "is damaged or no database of LTQ"),
        (_other_application, "is a database of another application: name another file"),
        (_newer, rf"was made by a newer LTQ .*version {VERSION + 1}.*upgrade LTQ"),
        (_truncated, "is damaged or no database of LTQ"),
        (_no_version, "is damaged: its table ltq_schema says no version. Move the file away"),
        (_odd_version, "is damaged: its table ltq_schema says no version"),
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "jobs.db"
    make(path)
    before = path.read_bytes()
    error = str(error_of(path))
    assert str(path) in error
    assert re.search(says, error)
    assert path.read_bytes() == before


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert str(error_of(tmp_path)) == f"{tmp_path} is a folder: name a file in the broker URL"


def test_what_would_block_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "is no regular file" in str(error_of(path))


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "jobs.db"
    assert f"make the folder {path.parent} first" in str(error_of(path))
    assert not path.parent.exists()


@pytest.mark.parametrize("name", ["a" * 300, f"{'a' * 300}/jobs.db", f"{'a' * 250}.db"])
def test_a_name_that_is_too_long_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert str(error_of(path)) == f"{path} cannot be opened: File name too long"


def test_a_circle_of_links_is_told(tmp_path: Path) -> None:
    path = tmp_path / "circle" / "jobs.db"
    path.parent.symlink_to(path.parent)
    assert str(error_of(path)).startswith(f"{path} cannot be opened: Too many levels")


def test_a_link_to_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path, target = tmp_path / "jobs.db", tmp_path / "unmounted" / "jobs.db"
    path.symlink_to(target)
    assert str(error_of(path)) == (
        f"{path} cannot be opened: it is a link to {target}, so make the folder {target.parent} "
        "first"
    )


def test_a_link_to_a_file_that_is_not_there_makes_it(tmp_path: Path) -> None:
    path, target = tmp_path / "jobs.db", tmp_path / "elsewhere.db"
    path.symlink_to(target)
    asyncio.run(_send(path))
    assert path.is_symlink()
    assert target.is_file()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "jobs.db", tmp_path / "file" / "folder" / "jobs.db"):
        assert f"make the folder {path.parent} first" in str(error_of(path))


def test_an_empty_file_becomes_one_of_ltq(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.touch()
    asyncio.run(_send(path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT version FROM ltq_schema").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_file_that_loses_its_version_meanwhile_is_written_no_more(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await broker.publish([envelope()])
        await asyncio.to_thread(_no_version, path)
        with pytest.raises(BrokerError, match=r"is damaged: its table ltq_schema"):
            await broker.publish([envelope()])


async def test_a_file_that_a_newer_ltq_upgrades_meanwhile_is_written_no_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await broker.publish([envelope()])
        await asyncio.to_thread(_newer, path)
        for _ in range(2):
            with pytest.raises(BrokerError, match=r"was made by a newer LTQ"):
                await broker.publish([envelope()])


AS_NOBODY = """
import asyncio, os, sys
from ltq.brokers.sqlite import SqliteBroker
from ltq.errors import BrokerError
from ltq.message import Envelope

os.setuid(65534)
broker = SqliteBroker(f"sqlite:///{sys.argv[1]}")
try:
    asyncio.run(broker.publish([Envelope(id="1", queue="mail", task_name="mail", body=b"{}")]))
except BrokerError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs another user")
@pytest.mark.parametrize("name", ["jobs.db", "in/jobs.db"])
def test_a_folder_that_may_not_be_entered_is_told(name: str) -> None:
    with TemporaryDirectory() as folder:  # only its owner may enter it
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        says = "the user of this process needs the right to enter each folder above it"
        assert ended.stdout == f"FileError {path} cannot be opened: {says}\n", ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs another user")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_cannot_be_written_is_told(what: str) -> None:
    with TemporaryDirectory() as folder:  # those of pytest are closed to other users
        _check_unwritable(Path(folder) / "jobs.db", what)


def _check_unwritable(path: Path, what: str) -> None:
    asyncio.run(_send(path))
    path.parent.chmod(0o777 if what == "file" else 0o755)
    path.chmod(0o644 if what == "file" else 0o666)
    command = [sys.executable, "-c", AS_NOBODY, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    place = path if what == "file" else path.parent
    assert ended.stdout.startswith(f"FileError {place} cannot be written: "), ended.stderr


def test_an_older_file_is_upgraded_in_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    asyncio.run(_send(path))
    upgrade = "CREATE TABLE news2 (number INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
    for module in (schema, opening, tables):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)
    monkeypatch.setattr(schema, "_UPGRADES", {VERSION: upgrade})
    with pytest.raises(BrokerError, match="nowhere"):
        asyncio.run(_send(path))
    assert _tables(path, "news2") == (VERSION, [])
    monkeypatch.setattr(schema, "_UPGRADES", {VERSION: upgrade.partition("\n")[0]})
    asyncio.run(_send(path))
    assert _tables(path, "news2") == (VERSION + 1, ["news2"])


def _tables(path: Path, name: str) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version FROM ltq_schema").fetchone()
        query = "SELECT name FROM sqlite_master WHERE name = ?"
        return version, [found for (found,) in connection.execute(query, [name])]
