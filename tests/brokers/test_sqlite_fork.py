"""A process that was forked while it used a file: it opens the file anew."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread import files

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, gc, os, sys
import ltq

url, how = sys.argv[1:]
worker = ltq.Worker("forked", broker_url=url)


@worker.task
async def double(number: int) -> int:
    return 2 * number


async def use(first: int) -> None:
    handles = await asyncio.gather(*(double.send(first + n) for n in range(50)))
    states = await asyncio.gather(*(handle.state() for handle in handles))
    assert {state.id for state in states} == {handle.id for handle in handles}


async def main() -> int:
    await use(0)
    sends = [asyncio.ensure_future(double.send(n)) for n in range(50)]
    await asyncio.sleep(0)
    child = os.fork()  # the thread of the file is at work now
    if child == 0:
        asyncio._set_running_loop(None)  # the parent's, which does not run here
        asyncio.run(use(200))
        gc.collect()
        if how == "hard":
            os._exit(0)
        sys.exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    await asyncio.gather(*sends)
    await use(100)
    return code


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    code = loop.run_until_complete(main())
    loop.run_until_complete(worker.run(burst=True))
    counts = loop.run_until_complete(worker.broker.stats(["forked:double"]))[0]
    loop.run_until_complete(worker.aclose())
    print(code, counts.pending, counts.working, *sorted(os.listdir(os.path.dirname(url[10:]))))
"""


CLOSING_PARENT = """
import asyncio, os, sys
import ltq

url, = sys.argv[1:]
worker = ltq.Worker("forked", broker_url=url)


@worker.task
async def double(number: int) -> int:
    return 2 * number


opened, opened_by_child = os.pipe()
closed_by_parent, closed = os.pipe()


async def child() -> None:
    await double.send(1)
    os.write(opened_by_child, b".")
    os.read(closed_by_parent, 1)
    await double.send(2)


async def main() -> None:
    await double.send(0)
    number = os.fork()
    if number == 0:
        asyncio._set_running_loop(None)  # the parent's, which does not run here
        asyncio.run(child())
        os._exit(0)
    os.read(opened, 1)
    await worker.broker.aclose()  # the last process to close a file removes its log
    os.write(closed, b".")
    os.waitpid(number, 0)
    (stats,) = await worker.broker.stats(["forked:double"])
    print(stats.pending)
    await worker.aclose()


asyncio.run(main())
"""


CLOSING = """
import asyncio, gc, os, sys, threading, time
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.database import Database
from ltq.message import Envelope

url, how = sys.argv[1:]
close, closes = Database.close, threading.Event()


def close_slowly(self) -> None:
    self.connection.execute("BEGIN IMMEDIATE")  # it locks the file while it moves a long log
    closes.set()
    time.sleep(0.5)  # the fork comes within it
    close(self)


async def send(task_id: str, *, is_closed: bool = True) -> SqliteBroker:
    broker = SqliteBroker(url)
    await broker.publish([Envelope(id=task_id, queue="q", task_name="q", body=b"")])
    if is_closed:
        await broker.aclose()
    return broker


async def send_and_close(task_id: str) -> None:
    broker = await send(task_id, is_closed=False)
    Database.close = close_slowly
    await broker.aclose()


if how == "dropped":
    gc.disable()  # the broker is collected when we say so
    asyncio.run(send("1", is_closed=False))
    Database.close = close_slowly
    gc.collect()
else:
    threading.Thread(target=asyncio.run, args=[send_and_close("1")]).start()
closes.wait()
Database.close = close  # for what comes later
child = os.fork()
if child == 0:
    asyncio.run(send("2"))
    os._exit(0)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
asyncio.run(send("3"))
print(code)
"""


INTERRUPTED = """
import asyncio, faulthandler, os, signal, sqlite3, sys, threading, time
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.database import Database
from ltq.message import Envelope

url, = sys.argv[1:]
at_work, lock = threading.Event(), Database._lock


def lock_slowly(self, statement: str) -> None:
    at_work.set()
    lock(self, statement)


async def send(task_id: str) -> None:
    async with SqliteBroker(url) as broker:
        await broker.publish([Envelope(id=task_id, queue="q", task_name="q", body=b"")])


async def send_many() -> None:
    async with SqliteBroker(url) as broker:
        await broker.ping()
        opened.set()
        await asyncio.to_thread(locked.wait)
        Database._lock = lock_slowly
        await broker.publish([Envelope(id="2", queue="q", task_name="q", body=b"")])


def fork_and_send(task_id: str) -> int:
    child = os.fork()
    if child == 0:
        asyncio.run(send(task_id))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def interrupt(number: int, frame: object) -> None:
    other.rollback()
    raise KeyboardInterrupt


faulthandler.dump_traceback_later(20, exit=True)
opened, locked = threading.Event(), threading.Event()
sends = threading.Thread(target=asyncio.run, args=[send_many()])
sends.start()
opened.wait()
other = sqlite3.connect(url[10:], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
locked.set()
at_work.wait()
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.3)
code = fork_and_send("1")
sends.join()
print(code, fork_and_send("3"))
"""


def output_of(program: str, *arguments: str) -> tuple[str, str]:
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return ended.stdout, ended.stderr


def run(tmp_path: Path, how: str) -> None:
    output, errors = output_of(PROGRAM, f"sqlite:///{tmp_path}/jobs.db", how)
    assert output == "0 0 0 jobs.db\n", errors


def test_parent_and_child_use_connections_of_their_own(tmp_path: Path) -> None:
    run(tmp_path, "hard")


def test_a_child_that_ends_in_order_closes_nothing_of_its_parent(tmp_path: Path) -> None:
    run(tmp_path, "in order")


def test_what_a_child_sends_stays_when_its_parent_closes_the_file(tmp_path: Path) -> None:
    output, errors = output_of(CLOSING_PARENT, f"sqlite:///{tmp_path}/jobs.db")
    assert output == "3\n", errors


@pytest.mark.parametrize("how", ["dropped", "closed in another thread"])
def test_a_child_may_use_a_file_that_was_being_closed(tmp_path: Path, how: str) -> None:
    output, errors = output_of(CLOSING, f"sqlite:///{tmp_path}/jobs.db", how)
    assert output == "0\n", errors


def test_a_signal_handler_that_raises_while_a_fork_waits_does_no_harm(tmp_path: Path) -> None:
    """To Python what the hooks of a fork raise is a message, and no reason not to fork."""
    output, errors = output_of(INTERRUPTED, f"sqlite:///{tmp_path}/jobs.db")
    assert output == "0 0\n", errors
    assert "KeyboardInterrupt" in errors


def test_a_fork_does_not_wait_for_a_call_that_waits_for_its_lock(tmp_path: Path) -> None:
    """A broker may be dropped by a garbage collection within a call."""
    path = tmp_path / "jobs.db"
    thread = files.acquire(path, time.time)
    files.acquire(path, time.time)
    at_work, forking = threading.Event(), threading.Event()

    def drop(store: SqliteStore) -> bool:
        at_work.set()
        assert forking.wait(5)
        return files.release(thread)

    async def main() -> bool:
        return await thread.call(drop)

    with ThreadPoolExecutor(1) as pool:
        dropped = pool.submit(asyncio.run, main())
        assert at_work.wait(5)
        rest = thread.rest

        def noted(patience: float) -> None:
            forking.set()
            rest(patience)

        thread.rest = noted  # type: ignore[method-assign]
        began = time.monotonic()
        files._before_fork()
        files._after_in_parent()
        assert time.monotonic() - began < files._PATIENCE_AT_FORK
        assert dropped.result() is False
    assert files.release(thread)
    thread.stop(lambda: None)
    thread.join(5)
