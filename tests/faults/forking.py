"""A worker whose tasks start processes in every way that Python has. `test_forked_tasks` runs it.

As a program, it runs the worker in a loop of its own: `asyncio`, `uvloop`, or `embedded`, where it
handles signals itself.
"""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import ltq

worker = ltq.Worker("forking", lease=5, shutdown_timeout=20)

app = ltq.App()
app.register_worker(worker)

DEFAULTS = "SIG_DFL default_int_handler -1 none"
"""What `handlers` returns where they are Python's own."""

DIED = -signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT


def handlers(_: int = 0) -> str:
    """The handlers of this process, the socket that its signals wake, and what it blocks."""
    names = (
        getattr(signal.getsignal(number), "name", getattr(signal.getsignal(number), "__name__", ""))
        for number in (signal.SIGTERM, signal.SIGINT)
    )
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return " ".join([*names, str(signal.set_wakeup_fd(-1)), str(len(blocked) or "none")])


@worker.task
async def whoami() -> int:
    return os.getpid()


@worker.task
def double(number: int) -> int:
    return 2 * number


@worker.task
def pool(kind: str) -> list[str]:
    """The end of the block sends SIGTERM to the children."""
    with multiprocessing.get_context(kind).Pool(2) as children:
        return children.map(handlers, range(2))


@worker.task
async def pool_in_loop(kind: str) -> list[str]:
    with multiprocessing.get_context(kind).Pool(2) as children:
        return children.map(handlers, range(2))


@worker.task
def pool_of_short_lives(kind: str) -> list[str]:
    """Most of its children are forked by a thread that the task does not know."""
    with multiprocessing.get_context(kind).Pool(1, maxtasksperchild=1) as children:
        return children.map(handlers, range(3), chunksize=1)


@worker.task
def executor(kind: str) -> list[str]:
    with ProcessPoolExecutor(1, multiprocessing.get_context(kind)) as children:
        return list(children.map(handlers, range(2)))


@worker.task
async def executor_in_loop(kind: str) -> list[str]:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, multiprocessing.get_context(kind)) as children:
        return [await loop.run_in_executor(children, handlers)]


@worker.task
def terminated_at_once() -> list[int | None]:
    """Children that get SIGTERM before they have done anything."""
    children = [multiprocessing.get_context("fork").Process(target=_sleep) for _ in range(10)]
    for child in children:
        child.start()
        child.terminate()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


@worker.task
def preexec() -> str:
    done = subprocess.run(["true"], preexec_fn=_tell, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


@worker.task
async def fork_in_loop(how: str) -> int:
    return _fork(how)


@worker.task
def fork(how: str) -> int:
    return _fork(how)


@worker.task
async def fork_and_go_on(how: str) -> int | None:
    """The child comes back from the task's function."""
    child = os.fork()
    return _go_on(how) if child == 0 else _end_of(child)


@worker.task
def fork_and_go_on_in_thread(how: str) -> int | None:
    child = os.fork()
    return _go_on(how) if child == 0 else _end_of(child)


@worker.task
async def send_from_a_fork() -> int:
    """The fork does not wait for the result: its parent's loop waits for it."""
    return _tells(lambda: len(double.send_sync(1).id))


@worker.task
def send_from_a_fork_of_a_thread() -> int:
    return _tells(_send_sync) + _tells(_send)


@worker.task
def send_from_a_pool() -> int:
    with multiprocessing.get_context("fork").Pool(2) as children:
        return sum(children.map(_send, range(2))) + sum(children.map(_send_sync, range(2)))


def _send_sync(_: int = 0) -> int:
    return double.send_sync(1).result(10)


def _send(_: int = 0) -> int:
    async def send() -> int:
        handle = await double.send(1)
        try:
            return await handle.result(10)
        finally:
            await worker.aclose()

    return asyncio.run(send())


def _tells(what: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(what())
    return _end_of(child)


def _sleep() -> None:
    time.sleep(60)  # the task's own time


def _tell() -> None:
    os.write(1, handlers().encode())


def _fork(how: str) -> int:
    child = os.fork()
    if child:
        return _end_of(child)
    if how == "defaults":
        os._exit(handlers() == DEFAULTS)
    os.kill(os.getpid(), signal.SIGTERM if how == "SIGTERM" else signal.SIGINT)
    _sleep()
    os._exit(1)


def _go_on(how: str) -> int | None:
    if how == "return":
        return 1
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "error":
        raise ValueError(how)
    sys.exit({"exit": None, "exit with 3": 3, "exit with a text": "a text"}[how])


def _end_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def embed() -> None:
    """Run the worker beside a program that handles SIGTERM in its loop."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    async with worker:
        await stopped.wait()


def main(how: str) -> None:
    if how == "embedded":
        asyncio.run(embed())
    elif how == "asyncio":
        asyncio.run(worker.run())
    else:
        import uvloop

        uvloop.run(worker.run())


if __name__ == "__main__":
    main(sys.argv[1])
