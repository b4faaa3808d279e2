"""Hints of a database file: who sends, who gets them, and what covers those that are lost.

A second `Ear` of the same file is to the first what another process is.
"""

import asyncio
import errno
import gc
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._thread import thread
from ltq.brokers.sqlite._thread.changes import POLL
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.brokers.sqlite._wake import folder, interest, mailbox
from ltq.brokers.sqlite._wake.interest import Interest, bit_of
from ltq.brokers.sqlite._wake.peers import HINT, Peers
from ltq.brokers.sqlite._wake.wakes import Wakes
from ltq.message import Envelope, new_id
from tests.brokers.test_sqlite_processes import two_connections
from tests.elapse import elapse
from tests.eventually import eventually

SOON = 5.0
"""Seconds within which what was told is heard, on a busy machine as well."""

NEVER = 60.0
"""Seconds: longer than any test."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    path.touch()
    return path


def folder_beside(database: Path) -> Path:
    return Path(folder.folder_of(database))


class Ear:
    """The hints of one process, and how often they made it look."""

    def __init__(self, database: Path) -> None:
        self.wakes = Wakes(database, self._look)
        self.looks = 0
        self._seen = 0

    def _look(self) -> None:
        self.looks += 1

    def tell(self, *topics: str) -> None:
        self.wakes.tell(topics)

    @contextmanager
    def listens(self, *topics: str) -> Iterator[None]:
        """Wait for topics in the block, in the running event loop."""
        receiver = self.wakes.enter()
        for topic in topics:
            receiver.add(topic)
        yield
        for topic in topics:
            receiver.discard(topic)
        self.wakes.leave(receiver)

    async def looks_again(self) -> bool:
        """Whether it looks, soon, since the last call of this."""
        await eventually(lambda: self.looks > self._seen, SOON)
        self._seen = self.looks
        return True

    async def is_quiet(self) -> bool:
        """Whether it has not looked again: what was sent before arrives within a turn."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.looks == self._seen


@asynccontextmanager
async def opened(database: Path) -> AsyncIterator[Ear]:
    """The hints of one process, closed at the end."""
    ear = Ear(database)
    yield ear
    ear.wakes.close()


@pytest.fixture
async def here(database: Path) -> AsyncIterator[Ear]:
    async with opened(database) as ear:
        yield ear


@pytest.fixture
async def there(database: Path) -> AsyncIterator[Ear]:
    """Those of "another process"."""
    async with opened(database) as ear:
        yield ear


class TestListening:
    async def test_who_waits_for_a_topic_looks(self, here: Ear, there: Ear) -> None:
        with here.listens("a", "b"):
            there.tell("b", "c")
            assert await here.looks_again()

    async def test_topics_come_and_go(self, here: Ear, there: Ear) -> None:
        with here.listens("a"):
            receiver = here.wakes.enter()
            for _ in range(2):
                receiver.add("late")
            there.tell("late")
            assert await here.looks_again()
            receiver.discard("late")
            there.tell("late")
            assert await here.looks_again(), "it was added twice"
            receiver.discard("late")
            there.tell("late")
            assert await here.is_quiet()
            here.wakes.leave(receiver)

    async def test_it_may_be_used_after_it_was_closed(self, here: Ear, there: Ear) -> None:
        with here.listens("a"):
            here.wakes.close()
            here.wakes.close()
        with here.listens("a"):
            there.tell("a")
            assert await here.looks_again()
            there.wakes.close()
            there.tell("a")
            assert await here.looks_again()

    async def test_all_sessions_of_an_event_loop_have_one_socket(
        self, here: Ear, there: Ear, database: Path
    ) -> None:
        with here.listens("a"):
            with here.listens("b"):
                assert len(list(folder_beside(database).glob("*.sock"))) == 1
            there.tell("a")
            assert await here.looks_again()
        assert not folder_beside(database).exists()

    async def test_who_only_sends_has_none(self, here: Ear, database: Path) -> None:
        with here.listens():
            here.tell("a")
            assert not folder_beside(database).exists()


class TestEventLoops:
    async def test_each_gets_hints_of_what_it_waits_for(self, here: Ear, there: Ear) -> None:
        ready, over = threading.Event(), threading.Event()

        async def in_another_loop() -> None:
            with here.listens("b"):
                ready.set()
                await eventually(over.is_set)

        with here.listens("a"):
            other = asyncio.create_task(asyncio.to_thread(asyncio.run, in_another_loop()))
            await eventually(ready.is_set)
            for topic in "ab":
                there.tell(topic)
                assert await here.looks_again()
            with sent() as names:
                here.tell("a", "b")
            assert names == [], "they are told by the thread of the file"
            over.set()
            await other

    def test_one_that_is_closed_leaves_nothing(self, database: Path) -> None:
        ear = Ear(database)

        async def main() -> None:
            ear.wakes.enter().add("a")
            ear.tell("a")

        before = descriptors()
        for _ in range(3):
            asyncio.run(main())
        assert len(list(folder_beside(database).iterdir())) == 2
        ear.tell("b")
        assert not folder_beside(database).exists()
        ear.wakes.close()
        assert descriptors() == before

    async def test_closing_leaves_nothing(self, database: Path) -> None:
        before = descriptors()
        async with opened(database) as one, opened(database) as two:
            with one.listens("a"), two.listens("b"):
                two.tell("a")
                one.tell("b")
                assert await one.looks_again()
        assert descriptors() == before
        assert os.listdir(database.parent) == [database.name]

    async def test_what_was_open_is_closed_in_another_thread(self, database: Path) -> None:
        await asyncio.to_thread(gc.collect)  # the thread is there before
        before = descriptors()
        ear = Ear(database)
        ear.wakes.enter().add("a")
        ear.tell("b")
        await asyncio.to_thread(ear.wakes.close)
        assert not folder_beside(database).exists()
        await eventually(lambda: descriptors() == before)


async def test_a_socket_that_cannot_be_made_leaves_nothing(
    here: Ear, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(mailbox, "new_socket", fail)
    before = descriptors()
    with here.listens("a"):
        assert descriptors() == before
        assert not folder_beside(database).exists()


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
    async def test_who_is_not_concerned_gets_no_datagram(self, here: Ear, there: Ear) -> None:
        with here.listens("a"), sent() as names:
            there.tell(*(topic for topic in "bcdefg" if bit_of(topic) != bit_of("a")))
            assert names == []
            there.tell("a", *"bcdefg")
            assert len(names) == 1

    async def test_a_dead_receiver_is_removed(self, here: Ear, there: Ear, database: Path) -> None:
        place = folder_beside(database)
        with here.listens("a"):
            dead = leave_dead(place, "dead")
            there.tell("a")
            assert not any(path.exists() for path in dead)
            assert await here.looks_again()
            assert len(list(place.iterdir())) == 2

    async def test_a_new_receiver_removes_the_dead(self, here: Ear, database: Path) -> None:
        place = folder_beside(database)
        place.mkdir(0o700)
        old, fresh = place / "old.new", place / "fresh.new"
        for path in (*leave_dead(place, "dead"), old, fresh):
            path.touch()
        os.utime(old, (time.time() - 100,) * 2)
        with here.listens("a"):
            left = {path.name for path in place.iterdir()}
        assert len(left) == 3
        assert "fresh.new" in left

    async def test_one_that_is_just_opened_is_found(
        self, here: Ear, there: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed_at = folder.Folder.changed_at

        def to_two_seconds(self: folder.Folder) -> int | None:
            """As file systems tell it that have the coarsest times."""
            time = changed_at(self)
            return None if time is None else time // 2_000_000_000 * 2_000_000_000

        monkeypatch.setattr(folder.Folder, "changed_at", to_two_seconds)
        with here.listens("keeps the directory"):
            for number in range(20):
                topic = f"topic {number}"
                here.tell(topic)  # it looks who is there
                with there.listens(topic):
                    here.tell(topic)
                    assert await there.looks_again()

    @pytest.mark.parametrize("kind", ["none", "short", "fifo"])
    async def test_who_says_nothing_of_its_interest_is_told_all(
        self, here: Ear, there: Ear, database: Path, kind: str
    ) -> None:
        with here.listens("a"):
            (file,) = (one for one in folder_beside(database).iterdir() if not one.suffix)
            match kind:
                case "none":
                    file.unlink()
                case "short":
                    file.write_bytes(b"")
                case _:
                    file.unlink()
                    os.mkfifo(file)
            there.tell("b")
            assert await here.looks_again()

    async def test_a_full_receiver_makes_nobody_wait(self, here: Ear, there: Ear) -> None:
        with here.listens("a", "b"):
            began = time.monotonic()
            for _ in range(1000):  # the event loop reads nothing meanwhile
                there.tell("a")
            there.tell("b")
            assert time.monotonic() - began < SOON
            assert await here.looks_again()

    async def test_it_does_not_raise(
        self, here: Ear, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise ValueError("a mistake")

        monkeypatch.setattr(Peers, "send", fail)
        here.tell("a")
        assert "hints of changes failed" in caplog.text

    async def test_a_directory_that_cannot_be_used_matters_to_nobody(
        self, here: Ear, database: Path
    ) -> None:
        folder_beside(database).write_text("a file")
        here.tell("a")


@contextmanager
def sent() -> Iterator[list[str]]:
    """The receivers to which datagrams are sent in the block."""
    names: list[str] = []
    send = Peers._try

    def note(self: Peers, place: folder.Folder, name: str) -> int | None:
        names.append(name)
        return send(self, place, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Peers, "_try", note)
        yield names


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
    @pytest.mark.parametrize("datagram", [HINT, b"", b"garbage" * 1000])
    async def test_any_datagram_is_one(
        self, here: Ear, there: Ear, database: Path, datagram: bytes
    ) -> None:
        with here.listens("a"):
            send_to_all(database, datagram)
            assert await here.looks_again()
            there.tell("a")
            assert await here.looks_again()

    async def test_few_are_read_in_one_turn(
        self, here: Ear, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mailbox, "_AT_ONCE", 3)
        with here.listens("a"):
            for _ in range(7):
                send_to_all(database, HINT)
            box = here.wakes._receivers[asyncio.get_running_loop()]._mailbox
            assert box is not None
            assert [box.take() for _ in range(4)] == [True, True, True, False]

    async def test_a_flood_does_not_starve_the_event_loop(self, here: Ear, database: Path) -> None:
        over = threading.Event()

        def flood() -> None:
            while not over.is_set():
                send_to_all(database, b"garbage")

        with here.listens("a"):
            flooding = asyncio.create_task(asyncio.to_thread(flood))
            for _ in range(20):
                await elapse(0.001, "others have their turns")
            assert await here.looks_again()
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


class TestHealing:
    async def test_a_removed_directory_is_made_again(
        self, here: Ear, there: Ear, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.wakes.HEAL_EVERY", 0.0)
        place = folder_beside(database)
        with here.listens("a"):
            there.tell("b")  # it has the directory open
            for path in place.iterdir():
                path.unlink()
            place.rmdir()
            here.wakes.heal()
            await eventually(lambda: list(place.glob("*.sock")))
            there.tell("a")
            assert await here.looks_again()

    async def test_a_socket_that_is_found_stays(self, here: Ear, database: Path) -> None:
        with here.listens("a"):
            before = sorted(folder_beside(database).iterdir())
            here.wakes.heal()
            await here.is_quiet()
            assert sorted(folder_beside(database).iterdir()) == before

    async def test_whose_directory_goes_just_now_makes_it_again(
        self, here: Ear, there: Ear, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = folder.Folder.made

        def made_and_removed(path: str) -> folder.Folder:
            opened = made(path)
            monkeypatch.setattr(folder.Folder, "made", made)
            os.rmdir(path)
            return opened

        monkeypatch.setattr(folder.Folder, "made", made_and_removed)
        with here.listens("a"):
            there.tell("a")
            assert await here.looks_again()


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

    async def test_it_says_so_once(
        self, crippled: str, database: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "ltq.broker")
        url = f"sqlite:///{database}"
        one, other = SqliteBroker(url), SqliteBroker(url)
        async with one, other, waiting(one), waiting(other):
            assert not one._here().thread.wakes.are_got
            assert not list(database.parent.rglob("*.sock*"))
            await publish(one)
        assert caplog.text.count("are noticed by polling") == (crippled != "no unix sockets")

    async def test_one_that_comes_to_be_possible_is_made(
        self, here: Ear, there: Ear, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.wakes.HEAL_EVERY", 0.0)
        place = folder_beside(database)
        place.touch()
        with here.listens("a"):
            assert not here.wakes.are_got
            place.unlink()
            here.wakes.heal()
            await eventually(lambda: here.wakes.are_got)
            there.tell("a")
            assert await here.looks_again()


@asynccontextmanager
async def waiting(broker: SqliteBroker) -> AsyncIterator["asyncio.Future[bool]"]:
    """A consumer that waits for a task."""
    async with broker.consumer(["mail"]) as consumer:
        wait = asyncio.ensure_future(consumer.wait(NEVER))
        await eventually(lambda: broker._here().thread.changes.is_heard)
        await broker.ping()  # it has looked what there is
        yield wait
        await asyncio.wait_for(wait, SOON)


async def publish(broker: SqliteBroker) -> None:
    await broker.publish([Envelope(id=new_id(), queue="mail", task_name="mail", body=b"")])


class TestThread:
    """When the thread of a file looks."""

    async def test_a_hint_makes_it_look_at_once(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(thread, "POLL", NEVER)
        with two_connections(f"sqlite:///{database}") as (one, other):
            async with one, other, waiting(one):
                await publish(other)

    async def test_it_looks_by_itself_as_a_hint_may_be_lost(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(thread, "POLL_ALONE", NEVER)
        monkeypatch.setattr(Peers, "send", lambda *_: None)
        with two_connections(f"sqlite:///{database}") as (one, other):
            async with one, other, waiting(one):
                await publish(other)

    async def test_where_no_hint_can_arrive_it_looks_more_often(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(thread, "POLL", NEVER)
        folder_beside(database).touch()
        with two_connections(f"sqlite:///{database}") as (one, other):
            async with one, other, waiting(one):
                await publish(other)

    async def test_it_makes_a_socket_anew_that_was_removed(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.brokers.sqlite._wake.wakes.HEAL_EVERY", 0.0)
        async with SqliteBroker(f"sqlite:///{database}") as broker, waiting(broker):
            (one,) = folder_beside(database).glob("*.sock")
            one.unlink()
            await eventually(lambda: set(folder_beside(database).glob("*.sock")) - {one})
            await publish(broker)

    async def test_a_process_sends_no_hints_to_itself(self, database: Path) -> None:
        url = f"sqlite:///{database}"
        async with SqliteBroker(url) as one, SqliteBroker(url) as other:
            with sent() as names:
                async with waiting(one), waiting(other):
                    await publish(one)
                    assert len(list(folder_beside(database).glob("*.sock"))) == 1
            assert names == []

    async def test_it_does_not_look_while_nobody_waits(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = []
        async with SqliteBroker(f"sqlite:///{database}") as broker:
            async with waiting(broker):
                await publish(broker)
            monkeypatch.setattr(SqliteThread, "_look", lambda _: looks.append("a look"))
            await elapse(3 * POLL, "it would look again")
            assert len(looks) <= 1, "it may have been about to"
