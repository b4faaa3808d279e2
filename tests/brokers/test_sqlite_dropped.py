"""Brokers that nobody holds any more: a garbage collection ends them, at any place of any call."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._session import Session
from ltq.brokers.sqlite._thread import bell, changes, files, thread
from ltq.brokers.sqlite._thread.bell import Bell
from ltq.brokers.sqlite._thread.changes import Changes
from tests.eventually import eventually

MOST_PLACES = 500

OURS = tuple(module.__file__ or "" for module in (bell, changes, files, thread, threading))
"""Files of whose instructions each is a place."""


@pytest.fixture(autouse=True)
def only_where_forced() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what other tests have left: hundreds of collections would each look at all of it
    gc.disable()
    yield
    gc.enable()


@contextmanager
def collected_at(place: int) -> Iterator[Callable[[], bool]]:
    """Collect garbage before an instruction of the block, with what it calls. Gives whether."""
    left, old = place, sys.gettrace()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(OURS):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                gc.collect()
        return trace

    sys.settrace(trace)
    try:
        yield lambda: left <= 0
    finally:
        sys.settrace(old)


class Garbage:
    """What only a garbage collection finds. Then it calls a function."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._itself = self
        self._end = end

    def __del__(self) -> None:
        self._end()


def places(run: Callable[[int], bool]) -> None:
    """Run something with a garbage collection at each of its places, until it has no more."""
    assert any(not run(place) for place in range(1, MOST_PLACES))


def drop_one(path: Path) -> None:
    """Leave a session of a file that nobody holds, in a cycle."""

    async def use() -> None:
        session = Session(path, time.time, is_durable=False, is_shared=False)
        await session.thread.call(lambda store: store.served([]))
        held = [session]
        held.append(held)  # type: ignore[arg-type]

    asyncio.run(use())


def test_a_broker_may_be_dropped_while_another_opens_its_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    async def open_and_use(place: int) -> bool:
        with collected_at(place) as was_collected:
            opened = files.acquire(path, time.time)
        is_inside = was_collected()
        gc.collect()
        await opened.call(lambda store: store.served([]))
        await eventually(lambda: users_of(path) == 1)
        files.release(opened)
        opened.stop(lambda: None)
        return is_inside

    def run(place: int) -> bool:
        drop_one(path)
        return asyncio.run(open_and_use(place))

    places(run)


def test_a_broker_may_be_dropped_while_another_leaves_its_file(tmp_path: Path) -> None:
    path, other = tmp_path / "jobs.db", tmp_path / "other.db"

    def run(place: int) -> bool:
        opened = files.acquire(path, time.time)
        drop_one(other)
        with collected_at(place) as was_collected:
            files.release(opened)
        is_inside = was_collected()
        gc.collect()
        opened.stop(lambda: None)
        asyncio.run(eventually(lambda: users_of(path) == users_of(other) == 0))
        return is_inside

    places(run)


def users_of(path: Path) -> int:
    return files._users.get((path, time.time), (None, 0))[1]


def test_a_bell_may_ring_while_it_rings() -> None:
    def run(place: int) -> bool:
        one = Bell()
        Garbage(one.ring)
        with collected_at(place) as was_collected:
            one.ring()
            one.wait(0)
        return was_collected()

    ringing = threading.Thread(target=places, args=[run], daemon=True)
    ringing.start()
    ringing.join(10)
    assert not ringing.is_alive()


def test_a_watch_may_be_dropped_while_another_comes_or_goes() -> None:
    def nothing(_: str) -> None: ...

    def run(place: int) -> bool:
        own, heard = Changes(), list[str]()
        own.listen("t", nothing)
        Garbage(lambda: own.unlisten("t", nothing))
        with collected_at(place) as was_collected:
            own.listen("t", heard.append)
            own.tell(1, [("t", "first")])
            own.listen("u", nothing)
            own.unlisten("u", nothing)
            is_heard = own.is_heard
        is_inside = was_collected()
        gc.collect()
        own.tell(2, [("t", "second")])
        assert (is_heard, heard) == (True, ["first", "second"])
        own.unlisten("t", heard.append)
        assert not own.is_heard
        return is_inside

    places(run)


async def test_what_it_had_open_is_closed_soon(tmp_path: Path) -> None:
    broker = SqliteBroker(f"sqlite:///{tmp_path}/jobs.db")
    async with broker.consumer(["mail"]):
        await broker.ping()
        assert len([path for path in list_of(tmp_path) if "-wake-" in path]) == 1
    del broker
    gc.collect()
    await eventually(lambda: list_of(tmp_path) == ["jobs.db"])


def list_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
