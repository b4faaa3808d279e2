"""Wake-ups of a database file: listeners, hints and their cover, within this process.

A second `Wakes` of the same file is to the first what another process is.
"""

import asyncio
import errno
import gc
import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.brokers.sqlite._wake import folder, hints, interest, mailbox
from ltq.brokers.sqlite._wake.hints import EVERYTHING, NOTHING, Heard
from ltq.brokers.sqlite._wake.interest import Interest, bit_of
from ltq.brokers.sqlite._wake.listener import Listener
from ltq.brokers.sqlite._wake.peers import Peers
from ltq.brokers.sqlite._wake.poll import Pauses
from ltq.brokers.sqlite._wake.wakes import Wakes
from tests.elapse import elapse
from tests.eventually import eventually

SOON = 5.0
"""Seconds within which what was told is heard, on a busy machine as well."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE changes (number INTEGER)")
    connection.close()
    return path


def folder_beside(database: Path) -> Path:
    return Path(folder.folder_of(database))


def change(database: Path) -> None:
    """Change the database without a word to anybody."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("INSERT INTO changes VALUES (1)")
    connection.close()


class Version:
    """The version of a database, and how often it was asked for."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database)
        self.asked = 0

    async def __call__(self) -> object:
        self.asked += 1
        return self._connection.execute("PRAGMA data_version").fetchone()

    def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def opened(database: Path) -> AsyncIterator[Wakes]:
    """Wake-ups of a database, closed at the end."""
    version = Version(database)
    wakes = Wakes(database, version)
    yield wakes
    await wakes.aclose()
    version.close()


@pytest.fixture
async def here(database: Path) -> AsyncIterator[Wakes]:
    async with opened(database) as wakes:
        yield wakes


@pytest.fixture
async def there(database: Path) -> AsyncIterator[Wakes]:
    """Those of "another process"."""
    async with opened(database) as wakes:
        yield wakes


async def hears(listener: Listener, *topics: str) -> bool:
    """Whether it hears of these topics by their names, soon."""
    left = set(topics)
    async with asyncio.timeout(SOON):
        while left:
            left -= (await listener.wait()).topics
    return True


async def settled(listener: Listener) -> None:
    """Wait until the first poll has told of what was there before."""
    while not (await listener.wait(SOON)).everything:
        pass


class TestListening:
    async def test_what_is_told_wakes_a_wait(self, here: Wakes) -> None:
        with here.listen(["a", "b"]) as listener:
            waiting = asyncio.create_task(listener.wait(SOON))
            await asyncio.sleep(0)
            here.tell(["b", "c"])
            assert (await waiting).topics == {"b"}

    async def test_what_is_told_between_two_waits_is_not_lost(self, here: Wakes) -> None:
        with here.listen(["a", "b"]) as listener:
            here.tell(["a"])
            here.tell(["b"])
            here.tell(["a"])
            await asyncio.sleep(0)
            assert (await listener.wait(SOON)).topics == {"a", "b"}

    async def test_a_wait_that_is_cancelled_loses_nothing(self, here: Wakes) -> None:
        with here.listen("a") as listener:
            waiting = asyncio.create_task(listener.wait())
            await asyncio.sleep(0)
            here.tell("a")
            waiting.cancel()
            await asyncio.wait([waiting])
            assert "a" in (await listener.wait(SOON)).topics

    async def test_a_wait_ends_after_its_timeout(self, here: Wakes) -> None:
        with here.listen("a") as listener:
            await settled(listener)
            here.tell("b")
            heard = await listener.wait(0.02)
            assert heard == NOTHING
            assert not heard

    async def test_topics_come_and_go(self, here: Wakes, there: Wakes) -> None:
        with here.listen() as listener:
            for _ in range(2):
                listener.add("late")
            there.tell(["late"])
            assert await hears(listener, "late")
            await settled(listener)
            for _ in range(2):
                listener.discard("late")
            there.tell(["late"])
            here.tell(["late"])
            assert not (await listener.wait(0.02)).topics

    async def test_what_was_heard_of_a_topic_goes_with_it(self, here: Wakes) -> None:
        with here.listen("ab") as listener:
            here.tell("ab")
            await asyncio.sleep(0)
            listener.discard("a")
            assert (await listener.wait(SOON)).topics == {"b"}

    async def test_each_listener_hears_its_topics(self, here: Wakes, there: Wakes) -> None:
        with here.listen("ab") as first, here.listen("bc") as second:
            there.tell("ab")
            assert await hears(first, "a", "b")
            assert await hears(second, "b")

    async def test_one_wait_at_a_time(self, here: Wakes) -> None:
        with here.listen("a") as listener:
            waiting = asyncio.create_task(listener.wait(SOON))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="waits for this listener already"):
                await listener.wait()
            here.tell("a")
            assert await waiting

    async def test_closing_ends_waits(self, database: Path) -> None:
        async with opened(database) as wakes:
            listeners = [wakes.listen("a"), wakes.listen("a")]
            await settled(listeners[0])
            await settled(listeners[1])
            waits = [asyncio.create_task(one.wait()) for one in listeners]
            await asyncio.sleep(0)
            listeners[0].close()
            listeners[0].close()
            assert await waits[0] == NOTHING
        assert await waits[1] == NOTHING
        assert await listeners[1].wait() == NOTHING
        listeners[1].add("b")

    async def test_it_may_be_used_after_it_was_closed(self, here: Wakes, there: Wakes) -> None:
        here.listen("a")
        await here.aclose()
        await here.aclose()
        with here.listen("a") as listener:
            there.tell("a")
            assert await hears(listener, "a")
            await there.aclose()
            there.tell("a")
            assert await hears(listener, "a")


class TestEventLoops:
    async def test_those_of_one_process_wake_one_another(self, here: Wakes, there: Wakes) -> None:
        ready = threading.Event()

        async def in_another_loop() -> bool:
            with here.listen(["a", "b"]) as listener:
                ready.set()
                answer = await hears(listener, "a", "b")
            here.tell(["back"])
            await here.aclose()
            return answer

        with here.listen(["back"]) as listener:
            other = asyncio.create_task(asyncio.to_thread(asyncio.run, in_another_loop()))
            await eventually(ready.is_set)
            here.tell(["a"])
            there.tell(["b"])
            assert await hears(listener, "back")
            assert await other

    def test_one_that_is_closed_leaves_nothing(self, database: Path) -> None:
        wakes = Wakes(database, _still)

        async def main() -> None:
            listener = wakes.listen("a")
            wakes.tell("a")
            assert await listener.wait(SOON)

        before = descriptors()
        for _ in range(3):
            asyncio.run(main())
        assert len(list(folder_beside(database).iterdir())) == 2
        wakes.tell("b")
        assert not folder_beside(database).exists()
        wakes._peers.close()  # type: ignore[union-attr]  # there are unix sockets here
        assert descriptors() == before

    @pytest.mark.parametrize("in_a_thread", [False, True])
    async def test_wakes_that_nobody_holds_leave_nothing(
        self, database: Path, in_a_thread: bool
    ) -> None:
        await asyncio.to_thread(gc.collect)  # the thread is there before
        before = descriptors()
        wakes = Wakes(database, _still)
        wakes.listen("a")
        wakes.tell("b")
        del wakes
        if in_a_thread:
            await asyncio.to_thread(gc.collect)
        else:
            gc.collect()
        assert not folder_beside(database).exists()
        await eventually(lambda: descriptors() == before)

    async def test_closing_leaves_nothing(self, database: Path) -> None:
        before = descriptors()
        async with opened(database) as one, opened(database) as two:
            with one.listen("a") as listener, two.listen("b"):
                two.tell("a")
                one.tell("b")
                assert await hears(listener, "a")
        assert descriptors() == before
        assert os.listdir(database.parent) == [database.name]


async def test_a_socket_that_cannot_be_made_leaves_nothing_open(
    here: Wakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(mailbox, "new_socket", fail)
    before = descriptors()
    with here.listen("a"):
        assert descriptors() == before


async def _still() -> object:
    return 0


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            found.append(os.readlink(f"/dev/fd/{name}"))
        except OSError:  # that of `listdir`
            continue
    return sorted(found)


class TestSenders:
    async def test_who_is_not_concerned_gets_no_datagram(self, here: Wakes, there: Wakes) -> None:
        with here.listen(["a"]) as listener:
            await settled(listener)
            with sent() as datagrams:
                there.tell([topic for topic in "bcdefg" if bit_of(topic) != bit_of("a")])
                assert datagrams == []
                there.tell(["a", *"bcdefg"])
                assert datagrams == [hints.pack(["a"])]

    async def test_a_dead_receiver_is_removed(self, here: Wakes, database: Path) -> None:
        place = folder_beside(database)
        with here.listen("a") as listener:
            dead = leave_dead(place, "dead")
            here.tell("a")
            assert not any(path.exists() for path in dead)
            assert await hears(listener, "a")
            assert len(list(place.iterdir())) == 2

    async def test_a_new_receiver_removes_the_dead(self, here: Wakes, database: Path) -> None:
        place = folder_beside(database)
        place.mkdir(0o700)
        old, fresh = place / "old.new", place / "fresh.new"
        for path in (*leave_dead(place, "dead"), old, fresh):
            path.touch()
        os.utime(old, (time.time() - 100,) * 2)
        with here.listen("a"):
            left = {path.name for path in place.iterdir()}
        assert len(left) == 3
        assert "fresh.new" in left

    async def test_one_that_is_just_opened_is_found(
        self, here: Wakes, there: Wakes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed_at = folder.Folder.changed_at

        def to_two_seconds(self: folder.Folder) -> int | None:
            """As file systems tell it that have the coarsest times."""
            time = changed_at(self)
            return None if time is None else time // 2_000_000_000 * 2_000_000_000

        monkeypatch.setattr(folder.Folder, "changed_at", to_two_seconds)
        keeper = here.listen()  # the directory stays
        for number in range(20):
            topic = f"topic {number}"
            here.tell([topic])  # it looks who is there
            with there.listen([topic]) as listener:
                here.tell([topic])
                assert await hears(listener, topic)
            await there.aclose()
        keeper.close()

    @pytest.mark.parametrize("kind", ["none", "short", "fifo"])
    async def test_who_says_nothing_of_its_interest_is_told_all(
        self, here: Wakes, there: Wakes, database: Path, kind: str
    ) -> None:
        with here.listen("a") as listener:
            (file,) = (one for one in folder_beside(database).iterdir() if not one.suffix)
            match kind:
                case "none":
                    file.unlink()
                case "short":
                    file.write_bytes(b"")
                case _:
                    file.unlink()
                    os.mkfifo(file)
            there.tell("a")
            assert await hears(listener, "a")

    async def test_a_full_receiver_makes_nobody_wait(self, here: Wakes, there: Wakes) -> None:
        with here.listen("abc") as listener:
            await settled(listener)
            began = time.monotonic()
            for _ in range(1000):  # the event loop reads nothing meanwhile
                there.tell("a")
            there.tell("b")
            assert time.monotonic() - began < SOON
            assert (await listener.wait(0.02)).everything, "also of b, without the poll"

    async def test_it_does_not_raise(
        self, here: Wakes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise ValueError("a mistake")

        monkeypatch.setattr(here._peers, "send", fail)
        here.tell("a")
        assert "telling of changes failed" in caplog.text

    async def test_a_directory_that_cannot_be_used_matters_to_nobody(
        self, here: Wakes, database: Path
    ) -> None:
        folder_beside(database).write_text("a file")
        here.tell("a")


@contextmanager
def sent() -> Iterator[list[bytes]]:
    """The datagrams that are sent in the block."""
    datagrams: list[bytes] = []
    send = Peers._try

    def note(self: Peers, place: folder.Folder, name: str, datagram: bytes) -> int | None:
        datagrams.append(datagram)
        return send(self, place, name, datagram)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Peers, "_try", note)
        yield datagrams


def leave_dead(place: Path, name: str) -> list[Path]:
    """What a process that was killed has left: a file, and a socket that refuses."""
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound = folder.Folder(str(place))
    dead.bind(bound.address(f"{name}.sock"))
    bound.close()
    dead.close()
    (place / name).touch()
    return [place / name, place / f"{name}.sock"]


class TestHints:
    @given(st.lists(st.text(), min_size=1))
    def test_they_say_the_topics_or_everything(self, topics: list[str]) -> None:
        datagram = hints.pack(topics)
        assert len(datagram) <= hints.LARGEST
        assert hints.unpack(datagram) in (Heard(frozenset(topics)), EVERYTHING)

    @given(st.binary())
    def test_bytes_of_any_kind_are_no_error(self, datagram: bytes) -> None:
        hints.unpack(datagram)

    @pytest.mark.parametrize("topics", [["x" * 50] * 100, ["x" * 5000], ["\ud800"]])
    def test_too_much_is_everything(self, topics: list[str]) -> None:
        assert hints.unpack(hints.pack(topics)) == EVERYTHING

    @pytest.mark.parametrize(
        "datagram",
        [
            b"",
            b"\xc1",
            b"[]",
            b"\x81\xa1a\xa1b",
            b"\x91\x01",
            pytest.param(msgspec.msgpack.encode(["a", "x" * hints.LARGEST]), id="too large"),
        ],
    )
    async def test_garbage_is_ignored(
        self, here: Wakes, there: Wakes, database: Path, datagram: bytes
    ) -> None:
        assert hints.unpack(datagram) == NOTHING
        with here.listen("a") as listener:
            await settled(listener)
            send_to_all(database, datagram)
            assert await listener.wait(0.02) == NOTHING
            there.tell("a")
            assert await hears(listener, "a")

    async def test_topics_that_nobody_has_asked_for_are_ignored(
        self, here: Wakes, database: Path
    ) -> None:
        with here.listen("a") as listener:
            await settled(listener)
            send_to_all(database, hints.pack(["b", "c"]))
            assert await listener.wait(0.02) == NOTHING

    async def test_few_are_read_in_one_turn(
        self, here: Wakes, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mailbox, "_AT_ONCE", 3)
        with here.listen("abcdefg") as listener:
            for topic in "abcdefg":
                send_to_all(database, hints.pack([topic]))
            box = here._receivers[asyncio.get_running_loop()]._mailbox
            assert box is not None
            assert box.take().topics == set("abc")
            assert await hears(listener, *"defg")

    async def test_a_flood_does_not_starve_the_event_loop(
        self, here: Wakes, database: Path
    ) -> None:
        over = threading.Event()

        def flood() -> None:
            while not over.is_set():
                send_to_all(database, b"garbage")

        with here.listen("a") as listener:
            flooding = asyncio.create_task(asyncio.to_thread(flood))
            for _ in range(20):
                await elapse(0.001, "others have their turns")
            here.tell("a")
            assert await hears(listener, "a")
            over.set()
            await flooding


def send_to_all(database: Path, datagram: bytes) -> None:
    """Send bytes to all sockets of a database."""
    place = folder.Folder(str(folder_beside(database)))
    with folder.new_socket() as sender:
        for name in place.receivers():
            with suppress(BlockingIOError):
                sender.sendto(datagram, place.address(f"{name}.sock"))
    place.close()


class TestInterest:
    @pytest.mark.parametrize("size", [1, interest.SIZE])
    @given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefghijklmnopqrst"))))
    def test_the_bits_are_those_of_the_topics(
        self, size: int, steps: list[tuple[bool, str]]
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interest, "SIZE", size)  # with eight bits, topics share them
            follow(steps)


def follow(steps: list[tuple[bool, str]]) -> None:
    """Add and discard topics, and compare the bits."""
    interest, topics, bits = Interest(), list[str](), 0
    for is_new, topic in steps:
        if is_new:
            topics.append(topic)
            has_changed = interest.add(topic)
        elif topic in topics:
            topics.remove(topic)
            has_changed = interest.discard(topic)
        else:
            continue
        before, bits = bits, 0
        for one in topics:
            bits |= bit_of(one)
        assert interest.bits == bits
        assert has_changed == (bits != before)


class TestCover:
    """What is found by polling, where hints are lost or cannot be had."""

    async def test_a_change_that_nobody_told_of_is_noticed(
        self, here: Wakes, database: Path
    ) -> None:
        with here.listen("a") as listener:
            await settled(listener)
            change(database)
            assert await listener.wait(SOON) == EVERYTHING

    async def test_a_change_before_the_wait_is_noticed(self, here: Wakes, database: Path) -> None:
        with here.listen("a") as listener:
            await settled(listener)
            await elapse(0.6, "so the poll ends, since nobody waits")
            change(database)
            assert await listener.wait(SOON) == EVERYTHING

    async def test_it_looks_only_while_somebody_waits(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.receiver.COVER", Pauses(0.01, 0.05, False))
        version = Version(database)
        wakes = Wakes(database, version)
        with wakes.listen("a") as listener:
            await settled(listener)
            await elapse(0.15, "so the poll ends, since nobody waits")
            asked = version.asked
            await elapse(0.15, "it would look again")
            assert version.asked == asked <= 3
            assert not await listener.wait(0.4)
            assert 3 <= version.asked - asked <= 20, "it looks less and less often"
        await wakes.aclose()
        version.close()

    async def test_a_version_that_cannot_be_had_is_a_change(self, database: Path) -> None:
        async def version() -> object:
            raise sqlite3.OperationalError("database is locked")

        wakes = Wakes(database, version)
        with wakes.listen("a") as listener:
            for _ in range(3):
                assert await listener.wait(SOON) == EVERYTHING
        await wakes.aclose()

    async def test_a_removed_directory_is_made_again(
        self, here: Wakes, there: Wakes, database: Path
    ) -> None:
        place = folder_beside(database)
        with here.listen("a") as listener:
            there.tell("b")  # it has the directory open
            for path in place.iterdir():
                path.unlink()
            place.rmdir()
            await settled(listener)
            while not list(place.glob("*.sock")):
                await listener.wait(0.01)
            there.tell("a")
            assert await hears(listener, "a")

    async def test_whose_directory_goes_just_now_makes_it_again(
        self, here: Wakes, there: Wakes, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = folder.Folder.made

        def made_and_removed(path: str) -> folder.Folder:
            opened = made(path)
            monkeypatch.setattr(folder.Folder, "made", made)
            os.rmdir(path)
            return opened

        monkeypatch.setattr(folder.Folder, "made", made_and_removed)
        with here.listen("a") as listener:
            there.tell("a")
            assert await hears(listener, "a")


class TestWithoutSockets:
    @pytest.fixture(
        params=["no unix sockets", "long path", "no readers", "shared", "symlink", "file"]
    )
    async def crippled(  # in the event loop, which needs unix sockets itself to begin
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: Path
    ) -> str:
        place = folder_beside(database)
        match request.param:
            case "no unix sockets":
                monkeypatch.delattr(socket, "AF_UNIX")
                monkeypatch.delattr(os, "geteuid")
            case "long path":
                monkeypatch.setattr(folder, "_DESCRIPTORS", "/nowhere")
                monkeypatch.setattr(folder, "SOCKET", ".sock" * 40)
                monkeypatch.setattr(mailbox, "UNBOUND", ".new" * 40)
            case "no readers":

                def add_reader(*_: Any) -> None:
                    raise NotImplementedError

                monkeypatch.setattr(asyncio.SelectorEventLoop, "add_reader", add_reader)
            case "shared":
                place.mkdir()
                place.chmod(0o770)
            case "symlink":
                (place.parent / "elsewhere").mkdir(0o700)
                place.symlink_to("elsewhere")
            case "file":
                place.touch()
        return str(request.param)

    async def test_it_polls_and_says_so(
        self, crippled: str, database: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "ltq.broker")
        async with opened(database) as here, opened(database) as there:
            with here.listen("a") as listener:
                await settled(listener)
                change(database)
                there.tell("a")
                assert await listener.wait(SOON) == EVERYTHING
                here.tell("a")
                assert await hears(listener, "a")
        assert caplog.text.count("are noticed by polling") == (crippled != "no unix sockets")
        assert not list(database.parent.rglob("*.sock*"))

    async def test_one_change_soon_follows_another(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.receiver.ALONE", Pauses(0.005, 3.0, True))
        monkeypatch.delattr(socket, "AF_UNIX")
        async with opened(database) as here:
            with here.listen("a") as listener:
                await settled(listener)
                began = time.monotonic()
                for _ in range(10):
                    change(database)
                    assert await listener.wait(SOON) == EVERYTHING
                assert time.monotonic() - began < 2, "the pauses begin again"

    async def test_one_that_comes_to_be_possible_is_made(
        self, here: Wakes, there: Wakes, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.receiver._TRY_AGAIN", 0.0)
        place = folder_beside(database)
        place.touch()
        with here.listen("a") as listener:
            await settled(listener)
            place.unlink()
            while not list(place.glob("*.sock")):
                await listener.wait(0.01)
            there.tell("a")
            assert await hears(listener, "a")


class TestLongPaths:
    async def test_they_are_no_hindrance(self, tmp_path: Path) -> None:
        database = tmp_path / ("folder " * 20) / ("jobs " * 20)
        database.parent.mkdir()
        async with opened(database) as here, opened(database) as there:
            with here.listen("a") as listener:
                there.tell("a")
                assert await hears(listener, "a")

    async def test_a_link_to_the_file_leads_to_the_same_place(
        self, here: Wakes, database: Path
    ) -> None:
        link = database.parent / "link.db"
        link.symlink_to(database)
        async with opened(link) as there:
            with here.listen("a") as listener:
                there.tell("a")
                assert await hears(listener, "a")
