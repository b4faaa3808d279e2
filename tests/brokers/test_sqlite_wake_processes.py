"""Hints of a database file between real processes: killed, stopped, forked, moved, strangers."""

import asyncio
import logging
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._thread.changes import POLL_ALONE
from ltq.brokers.sqlite._wake.folder import folder_of
from ltq.brokers.sqlite._wake.sender import Sender
from ltq.brokers.sqlite._wake.wakes import Wakes
from ltq.message import Envelope
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
    """A file in a folder that other users can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "jobs.db"
    path.touch()
    yield path
    shutil.rmtree(folder, ignore_errors=True)


class Ear:
    """The hints of this process."""

    def __init__(self, database: Path) -> None:
        self._looked = asyncio.Event()
        self.wakes = Wakes(database, self._looked.set)
        self.tell = self.wakes.tell

    @contextmanager
    def listens(self, topic: str) -> Iterator[None]:
        receiver = self.wakes.enter()
        receiver.add(topic)
        yield
        receiver.discard(topic)
        self.wakes.leave(receiver)

    async def looks(self) -> None:
        """Wait until a hint comes."""
        async with asyncio.timeout(HURRY):
            await self._looked.wait()
        self._looked.clear()


@pytest.fixture
async def ear(database: Path) -> AsyncIterator[Ear]:
    ear = Ear(database)
    yield ear
    ear.wakes.close()


def sockets(database: Path) -> list[str]:
    return sorted(path.name for path in Path(folder_of(database)).glob("*.sock"))


async def test_it_takes_less_time_than_a_poll(ear: Ear, database: Path) -> None:
    with listening(database, "there") as other, ear.listens("there:heard"):
        await other.says("0 listens")
        times = []
        for _ in range(300):
            began = time.perf_counter()
            ear.tell(["there"])
            await ear.looks()
            times.append((time.perf_counter() - began) / 2)
        median = statistics.median(times)
        logger.info("one way: %.0f µs (median)", median * 1e6)  # shown by --log-cli-level=INFO
        assert median < POLL_ALONE


async def test_fifty_processes_look_at_once(ear: Ear, database: Path) -> None:
    everybody = [str(number) for number in range(50)]
    with listening(database, "all", count=50) as others:
        await others.says(*(f"{name} listens" for name in everybody))
        assert len(sockets(database)) == 50
        ear.tell(["all"])
        await others.says(*(f"{name} looks" for name in everybody))
        assert len(others.lines) == 100
        for name in everybody:
            ear.tell([name])
        twice = [f"{name} looks" for name in everybody]
        await eventually(lambda: all(others.counted(line) >= 2 for line in twice))


async def test_one_that_was_killed_is_cleaned_up(ear: Ear, database: Path) -> None:
    with listening(database, "a") as one, listening(database, "a") as other:
        await one.says("0 listens")
        await other.says("0 listens")
        assert len(sockets(database)) == 2
        one.process.kill()
        one.process.wait()
        ear.tell(["b"])
        assert len(sockets(database)) == 2, "it was not concerned"
        ear.tell(["a"])
        assert len(sockets(database)) == 1
        await other.says("0 looks")
        other.process.kill()
        other.process.wait()
        with ear.listens("c"):
            assert len(sockets(database)) == 1, "only its own"


async def test_one_that_is_stopped_makes_nobody_wait(ear: Ear, database: Path) -> None:
    with listening(database, "a", "b") as other:
        await other.says("0 listens")
        os.kill(other.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(1000):
            ear.tell(["a"])
        ear.tell(["b"])
        assert time.monotonic() - began < HURRY
        os.kill(other.process.pid, signal.SIGCONT)
        await other.says("0 looks")


@pytest.mark.skipif(sys.platform != "linux", reason="only there an address follows a directory")
async def test_a_folder_that_is_moved_takes_them_with_it(ear: Ear, database: Path) -> None:
    with listening(database, "a") as other:
        await other.says("0 listens")
        ear.tell(["b"])
        moved = database.parent.with_name(database.parent.name + "-moved")
        database.parent.rename(moved)
        try:
            ear.tell(["a"])
            await other.says("0 looks")
            late = Sender(moved / "jobs.db")
            late.tell(["a"])
            await eventually(lambda: other.counted("0 looks") == 2)
            late.hang_up()
        finally:
            moved.rename(database.parent)


async def test_a_file_that_is_moved_loses_nobody(ear: Ear, database: Path) -> None:
    with listening(database, "a") as other:
        await other.says("0 listens")
        os.rename(database, database.with_name("moved.db"))
        ear.tell(["a"])
        await other.says("0 looks")


async def test_one_that_ends_removes_its_socket(ear: Ear, database: Path) -> None:
    with listening(database) as other:
        await other.says("0 listens")
        os.kill(other.process.pid, signal.SIGINT)
        assert other.process.wait(HURRY)
    assert os.listdir(database.parent) == [database.name]


STRANGER = """
import asyncio, os, sys
from ltq.brokers.sqlite import SqliteBroker

os.setgid(65534)
os.setuid(65534)


async def main() -> None:
    async with SqliteBroker(sys.argv[1]) as broker, broker.consumer(["mail"]) as consumer:
        wait = asyncio.ensure_future(consumer.wait(20))
        while not broker._here().thread.changes.is_heard:
            await asyncio.sleep(0)
        await broker.ping()  # it has looked what there is
        print("waits", flush=True)
        print(await wait, flush=True)


asyncio.run(main())
"""


class TestStrangers:
    """Processes of other users."""

    @as_root
    @pytest.mark.parametrize("mode", [0o755, 0o777], ids=["cannot make a socket", "can"])
    async def test_they_get_no_hints(self, ear: Ear, database: Path, mode: int) -> None:
        os.chmod(database.parent, mode)
        with listening(database, "a", user=NOBODY) as stranger, listening(database, "a") as other:
            await stranger.says("0 is alone" if mode == 0o755 else "0 listens")
            await other.says("0 listens")
            ear.tell(["a"])
            await other.says("0 looks")
            assert not stranger.counted("0 looks")

    @as_root
    async def test_they_look_by_themselves(self, database: Path) -> None:
        os.chmod(database.parent, 0o777)
        os.chmod(database, 0o666)
        url = f"sqlite:///{database}"
        command = [sys.executable, "-c", STRANGER, url]
        stranger = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert stranger.stdout is not None
        async with asyncio.timeout(HURRY):
            assert await stranger.stdout.readline() == b"waits\n"
            async with SqliteBroker(url) as broker:
                await broker.publish([Envelope(id="1", queue="mail", task_name="mail", body=b"")])
                assert await stranger.stdout.readline() == b"True\n"
        assert await stranger.wait() == 0

    @as_root
    async def test_a_directory_of_theirs_is_not_used(self, ear: Ear, database: Path) -> None:
        planted = folder_of(database)
        os.mkdir(planted, 0o700)
        os.chown(planted, int(NOBODY), int(NOBODY))
        with ear.listens("a"):
            assert not ear.wakes.are_got
            ear.tell("a")
            assert os.listdir(planted) == []


FORKS = """
import asyncio, atexit, os, sys
from pathlib import Path
from ltq.brokers.sqlite._wake.sender import Sender
from ltq.brokers.sqlite._wake.wakes import Wakes

looked = asyncio.Event()
wakes = Wakes(Path(sys.argv[1]), looked.set)


async def looks():
    async with asyncio.timeout(10):
        await looked.wait()
    looked.clear()


def is_of_the_parent(name):
    try:
        return "-wake-" in os.readlink(f"/dev/fd/{name}")
    except OSError:  # that of `listdir`
        return False


async def child():
    global looked, wakes
    assert not any(is_of_the_parent(name) for name in os.listdir("/dev/fd"))
    wakes.tell(["parent"])  # what was used in the parent still tells
    wakes.close()
    looked = asyncio.Event()
    wakes = Wakes(Path(sys.argv[1]), looked.set)
    wakes.enter().add("child")
    wakes.tell(["parent"])
    await looks()
    if os.environ["CLOSES"]:
        wakes.close()


async def parent():
    receiver = wakes.enter()
    receiver.add("parent")
    wakes.tell(["nobody"])
    place = sys.argv[1] + f"-wake-{os.geteuid()}"
    before = set(os.listdir(place))
    number = os.fork()
    if not number:
        asyncio._set_running_loop(None)  # the parent's, which does not run here
        asyncio.run(child())
        atexit._run_exitfuncs()  # those of the parent, as `sys.exit` elsewhere calls them
        os._exit(0)
    await looks()
    while set(os.listdir(place)) == before:
        await asyncio.sleep(0.01)
    while (status := os.waitpid(number, os.WNOHANG)) == (0, 0):
        wakes.tell(["child"])
        await asyncio.sleep(0.01)
    assert status[1] == 0
    assert set(os.listdir(place)) == before
    looked.clear()
    Sender(Path(sys.argv[1])).tell(["parent"])
    await looks()
    wakes.close()


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
