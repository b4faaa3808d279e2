"""Wake-ups of a database file between real processes: killed, stopped, forked, moved, strangers."""

import asyncio
import logging
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ltq.brokers.sqlite._wake.folder import folder_of
from ltq.brokers.sqlite._wake.listener import Listener
from ltq.brokers.sqlite._wake.wakes import Wakes
from tests.brokers.wake_processes import listening
from tests.eventually import eventually

pytestmark = pytest.mark.slow

logger = logging.getLogger("tests")

NOBODY = "65534"

HURRY = 10.0
"""Seconds."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@pytest.fixture
def database() -> Iterator[Path]:
    """A database in a folder that other users can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "jobs.db"
    change(path)
    yield path
    shutil.rmtree(folder, ignore_errors=True)


def change(database: Path) -> None:
    """Change the database without a word to anybody."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS changes (number INTEGER)")
        connection.execute("INSERT INTO changes VALUES (1)")
    connection.close()


async def unchanged() -> object:
    return 0


@pytest.fixture
async def wakes(database: Path) -> AsyncIterator[Wakes]:
    """Those of this process, which hears by datagrams only."""
    wakes = Wakes(database, unchanged)
    yield wakes
    await wakes.aclose()


async def hears(listener: Listener, topic: str) -> None:
    async with asyncio.timeout(HURRY):
        while topic not in (await listener.wait()).topics:
            pass


def sockets(database: Path) -> list[str]:
    return sorted(path.name for path in Path(folder_of(database)).glob("*.sock"))


async def test_it_takes_less_time_than_the_poll(wakes: Wakes, database: Path) -> None:
    with listening(database, "there") as other, wakes.listen(["there:heard"]) as listener:
        await other.says("0 listens")
        times = []
        for _ in range(300):
            began = time.perf_counter()
            wakes.tell(["there"])
            await hears(listener, "there:heard")
            times.append((time.perf_counter() - began) / 2)
        median = statistics.median(times)
        logger.info("one way: %.0f µs (median)", median * 1e6)  # shown by --log-cli-level=INFO
        assert median < 0.02, "the poll takes longer, and says no topic"
        assert "0 everything" not in other.lines


async def test_fifty_processes_hear_at_once(wakes: Wakes, database: Path) -> None:
    everybody = [str(number) for number in range(50)]
    with listening(database, "all", count=50) as others:
        await others.says(*(f"{name} listens" for name in everybody))
        assert len(sockets(database)) == 50
        wakes.tell(["all"])
        await others.says(*(f"{name} all" for name in everybody))
        assert len(others.lines) == 100
        for name in everybody:
            wakes.tell([name])
        await others.says(*(f"{name} {name}" for name in everybody))


async def test_one_that_was_killed_is_cleaned_up(wakes: Wakes, database: Path) -> None:
    with listening(database, "a") as one, listening(database, "a") as other:
        await one.says("0 listens")
        await other.says("0 listens")
        assert len(sockets(database)) == 2
        one.process.kill()
        one.process.wait()
        wakes.tell(["b"])
        assert len(sockets(database)) == 2, "it was not concerned"
        wakes.tell(["a"])
        assert len(sockets(database)) == 1
        await other.says("0 a")
        other.process.kill()
        other.process.wait()
        with wakes.listen("c"):
            assert len(sockets(database)) == 1, "only its own"


async def test_one_that_is_stopped_makes_nobody_wait(wakes: Wakes, database: Path) -> None:
    with listening(database, "a", "b") as other:
        await other.says("0 listens")
        os.kill(other.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(1000):
            wakes.tell(["a"])
        wakes.tell(["b"])
        assert time.monotonic() - began < HURRY
        os.kill(other.process.pid, signal.SIGCONT)
        await other.says("0 everything")


@pytest.mark.skipif(sys.platform != "linux", reason="only there an address follows a directory")
async def test_a_folder_that_is_moved_takes_them_with_it(wakes: Wakes, database: Path) -> None:
    with listening(database, "a") as other:
        await other.says("0 listens")
        wakes.tell(["b"])
        moved = database.parent.with_name(database.parent.name + "-moved")
        database.parent.rename(moved)
        try:
            wakes.tell(["a"])
            await other.says("0 a")
            late = Wakes(moved / "jobs.db", unchanged)
            late.tell(["a"])
            await eventually(lambda: other.counted("0 a") == 2)
            await late.aclose()
        finally:
            moved.rename(database.parent)


async def test_a_file_that_is_moved_loses_nobody(wakes: Wakes, database: Path) -> None:
    with listening(database, "a") as other:
        await other.says("0 listens")
        os.rename(database, database.with_name("moved.db"))
        wakes.tell(["a"])
        await other.says("0 a")
        late = Wakes(database.with_name("moved.db"), unchanged)
        change(database.with_name("moved.db"))
        late.tell(["a"])
        await other.says("0 everything")


async def test_one_that_ends_removes_its_socket(wakes: Wakes, database: Path) -> None:
    with listening(database) as other:
        await other.says("0 listens")
        os.kill(other.process.pid, signal.SIGINT)
        assert other.process.wait(HURRY)
    assert os.listdir(database.parent) == [database.name]


class TestStrangers:
    """Processes of other users."""

    @as_root
    @pytest.mark.parametrize("mode", [0o755, 0o777], ids=["cannot make a socket", "can"])
    async def test_they_hear_by_polling(self, wakes: Wakes, database: Path, mode: int) -> None:
        os.chmod(database.parent, mode)
        os.chmod(database, 0o666)
        with listening(database, "a", user=NOBODY) as stranger, listening(database, "a") as other:
            await stranger.says("0 listens")
            await other.says("0 listens")
            change(database)
            wakes.tell(["a"])
            await other.says("0 a")
            await stranger.says("0 everything")
            assert "0 a" not in stranger.lines

    @as_root
    async def test_a_directory_of_theirs_is_not_used(self, wakes: Wakes, database: Path) -> None:
        planted = folder_of(database)
        os.mkdir(planted, 0o700)
        os.chown(planted, int(NOBODY), int(NOBODY))
        with wakes.listen("a") as listener:
            assert os.listdir(planted) == []
            wakes.tell("a")
            await hears(listener, "a")


FORKS = """
import asyncio, atexit, os, sys
from pathlib import Path
from ltq.brokers.sqlite._wake.wakes import Wakes


async def version() -> object:
    return 0


wakes = Wakes(Path(sys.argv[1]), version)


async def hears(listener, topic):
    async with asyncio.timeout(10):
        while topic not in (await listener.wait()).topics:
            pass


def is_of_the_parent(name):
    try:
        return "-wake-" in os.readlink(f"/dev/fd/{name}")
    except OSError:  # that of `listdir`
        return False


async def child():
    assert not any(is_of_the_parent(name) for name in os.listdir("/dev/fd"))
    with wakes.listen(["child"]) as listener:
        wakes.tell(["parent"])
        await hears(listener, "child")
    if os.environ["CLOSES"]:
        await wakes.aclose()


async def parent():
    with wakes.listen(["parent"]) as listener:
        wakes.tell(["nobody"])
        place = sys.argv[1] + f"-wake-{os.geteuid()}"
        before = set(os.listdir(place))
        number = os.fork()
        if not number:
            asyncio._set_running_loop(None)  # the parent's, which does not run here
            asyncio.run(child())
            atexit._run_exitfuncs()  # those of the parent, as `sys.exit` elsewhere calls them
            os._exit(0)
        await hears(listener, "parent")
        wakes.tell(["child"])
        _, status = await asyncio.to_thread(os.waitpid, number, 0)
        assert status == 0
        assert set(os.listdir(place)) == before
        other = Wakes(Path(sys.argv[1]), version)
        other.tell(["parent"])
        await hears(listener, "parent")
    await wakes.aclose()


asyncio.run(parent())
"""


@pytest.mark.parametrize("closes", ["", "yes"])
def test_a_fork_has_a_socket_of_its_own(database: Path, closes: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORKS, str(database)],
        env={**os.environ, "CLOSES": closes},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert os.listdir(database.parent) == [database.name]
