"""The temporary folder of `ltq demo`: gone afterwards, or removed by the next demo."""

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ltq.cli.demo._folder import demo_folder
from tests.cli.processes import Running, run_ltq, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder for temporary files."""
    (folder := tmp_path / "tmp").mkdir()
    return folder


@pytest.fixture
def env(temporary: Path) -> dict[str, str]:
    return {"TMPDIR": str(temporary)}


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A folder with two files: so the second task has to wait."""
    (folder := tmp_path / "files").mkdir()
    for name in "ab":
        (folder / name).write_bytes(b"x")
    return str(folder)


def entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def is_there(temporary: Path) -> None:
    """Wait for the folder of a demo."""

    async def found() -> bool:
        return any(name.startswith("ltq-demo-") for name in entries(temporary))

    await eventually(found, 20, "the folder of the demo")


async def runs(demo: Running) -> None:
    """Wait until workers run tasks of a demo."""
    while "files hashed" not in (line := await demo.out_line()):
        assert line, "ended early"


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_at_once_leaves_nothing(
    temporary: Path, env: dict[str, str], directory: str, number: signal.Signals
) -> None:
    async with start_ltq("demo", directory, "--for", "1h", env=env) as demo:
        await is_there(temporary)
        demo.process.send_signal(number)
        done = await demo.end()
    # It may hit Python while that reads a module, whose file it leaves to be closed, and says so.
    assert (done.code, done.err.splitlines()[-1]) == (130, "ltq: stopped")
    assert "ltq: " not in done.err.removesuffix("ltq: stopped\n")
    assert entries(temporary) == []


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_while_tasks_run_leaves_nothing(
    temporary: Path, env: dict[str, str], number: signal.Signals
) -> None:
    async with start_ltq("demo", "--for", "1h", env=env) as demo:
        await runs(demo)
        demo.process.send_signal(number)
        done = await demo.end()
    assert (done.code, done.err) == (130, "ltq: stopped\n")
    assert entries(temporary) == []


async def test_what_a_killed_one_left_is_removed_by_the_next(
    temporary: Path, env: dict[str, str], directory: str
) -> None:
    async with start_ltq("demo", "--for", "1h", env=env) as demo:
        await runs(demo)
        demo.process.kill()
        await demo.end()
    (left,) = entries(temporary)
    assert "jobs.db" in entries(temporary / left)
    assert (await run_ltq("demo", directory, "--for", "0", env=env)).code == 0
    assert entries(temporary) == []


async def test_the_folder_of_one_that_lives_stays(
    temporary: Path, env: dict[str, str], directory: str
) -> None:
    async with start_ltq("demo", "--for", "1h", env=env) as demo:
        await runs(demo)
        (own,) = entries(temporary)
        before = entries(temporary / own)
        assert (await run_ltq("demo", directory, "--for", "0", env=env)).code == 0
        assert entries(temporary) == [own]
        assert entries(temporary / own) == before
        demo.process.send_signal(signal.SIGTERM)
        assert (await demo.end()).err == "ltq: stopped\n"


def as_left(folder: Path) -> None:
    """What a demo that was killed leaves."""
    folder.mkdir()
    for name in ("demo.lock", "jobs.db", "jobs.db-wal"):
        (folder / name).write_bytes(b"")
    (sockets := folder / f"jobs.db-wake-{os.geteuid()}").mkdir()
    (sockets / "a.sock").write_bytes(b"")


def without_a_lock(folder: Path) -> None:
    as_left(folder)
    (folder / "demo.lock").unlink()


def with_a_file(folder: Path) -> None:
    as_left(folder)
    (folder / "notes.txt").write_text("mine")


def a_link(folder: Path) -> None:
    as_left(elsewhere := folder.parent / "elsewhere")
    folder.symlink_to(elsewhere)


def a_lock_that_is_a_link(folder: Path) -> None:
    without_a_lock(folder)
    (target := folder.parent / "target").write_bytes(b"")
    (folder / "demo.lock").symlink_to(target)


def of_another_name(folder: Path) -> None:
    as_left(folder.parent / "demo-ltq")


MakeFolder = Callable[[Path], None]
FOREIGN: list[MakeFolder] = [
    without_a_lock,
    with_a_file,
    a_link,
    a_lock_that_is_a_link,
    of_another_name,
]


def everything(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: str(make.__name__))
def test_what_is_not_certainly_of_a_demo_stays(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, make: MakeFolder
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    make(temporary / "ltq-demo-other")
    before = everything(temporary)
    with demo_folder():
        assert set(before) < set(everything(temporary))
    assert everything(temporary) == before


def test_what_is_goes(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    as_left(temporary / "ltq-demo-other")
    with demo_folder():
        assert not (temporary / "ltq-demo-other").exists()
    assert everything(temporary) == []


def test_what_belongs_to_another_user_stays(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    as_left(temporary / "ltq-demo-other")
    before, uid = everything(temporary), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with demo_folder():
        pass
    assert everything(temporary) == before
