"""Synchronous calls in processes of their own: their end, forks, Ctrl-C, a server that is away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis.asyncio

from devtools.servers import free_port
from tests.eventually import eventually

ROOT = Path(__file__).parent.parent.parent
FORK = ("-W", "ignore:This process")
"""From Python 3.12 on each fork beside a running thread is warned of."""

BEGIN = """
import os, signal, sys, threading
import ltq
from ltq._aio import portal as _portal

worker = ltq.Worker("shop", broker_url=sys.argv[1])


@worker.task
async def double(number: int) -> int:
    return 2 * number

"""

ENDS = """
handle = double.with_options(id="a").send_sync(1)


def wait() -> None:
    try:
        handle.result()
    except ltq.BrokerError:
        pass


threading.Thread(target=wait, daemon=True).start()
watch = handle.watch()
print(next(watch).status)
"""
"""Ends with connections open, a wait and a watch under way."""

FORKS = """
def use(first: int) -> None:
    handles = [double.send_sync(first + number) for number in range(20)]
    assert [handle.state().id for handle in handles] == [handle.id for handle in handles]


use(0)
watch = double.send_sync(-1).watch()
next(watch)
other = threading.Thread(target=use, args=[1000])
other.start()
held, go_on = threading.Event(), threading.Event()


def hold() -> None:
    with _portal._portal._lock:
        held.set()
        go_on.wait()


holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
go_on.set()
if child == 0:
    try:
        next(watch)  # the parent's: its connection is left alone
    except ltq.BrokerError:
        del watch
    use(100)
    sys.exit(0)
use(200)
other.join()
holder.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
handle = double.send_sync(3)
assert handle.cancel()
assert handle.wait(timeout=5).status is ltq.Status.CANCELLED
print("fine")
"""

GOES_ON = """
def use() -> None:
    threading.main_thread().join()
    print(double.send_sync(1).state().status)


_portal.open_portal("")  # Python 3.12.1 starts no thread any more then
threading.Thread(target=use).start()
"""
"""A name is looked up once the main thread has ended."""

OUT_OF_FILES = """
import resource

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
try:
    double.send_sync(1)
except ltq.BrokerError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, most))
print(double.send_sync(1).state().status)
"""

INTERRUPTED = """
handle = double.send_sync(1)
try:
    handle.result()
except KeyboardInterrupt:
    print("interrupted")
assert handle.cancel()
"""


def start(program: str, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", *FORK, "-c", BEGIN + program, url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, url: str) -> str:
    with start(program, url) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, ""), errors
    return output


@pytest.mark.parametrize("store", ["redis", "memory"])
def test_a_process_ends_without_a_warning(store: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis_url") if store == "redis" else "memory://"
    assert run(ENDS, url) == "pending\n"


def test_a_thread_that_outlives_the_main_one_may_send(redis_url: str) -> None:
    assert run(GOES_ON, redis_url.replace("127.0.0.1", "localhost")) == "pending\n"


def test_a_process_ends_without_a_warning_where_a_name_was_looked_up(redis_url: str) -> None:
    assert run(ENDS, redis_url.replace("127.0.0.1", "localhost")) == "pending\n"


def test_where_no_loop_can_be_opened_it_says_so_and_the_next_call_tries_again() -> None:
    with start(OUT_OF_FILES, "memory://") as process:
        output, _ = process.communicate(timeout=30)  # Python's half-made loop complains
    first, second = output.splitlines()
    assert first.startswith("synchronous calls need a thread of their own: [Errno 24]")
    assert (process.returncode, second) == (0, "pending")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_connections_of_its_own(redis_url: str) -> None:
    assert run(FORKS, redis_url) == "fine\n"


async def test_ctrl_c_ends_a_wait(redis_url: str) -> None:
    with start(INTERRUPTED, redis_url) as process:
        async with redis.asyncio.Redis.from_url(redis_url, protocol=2) as client:
            await eventually(lambda: client.pubsub_channels("*:task:*"), 20, "a wait")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "interrupted\n", "")


def test_a_server_that_is_away_is_an_error(redis_executable: str) -> None:
    program = """
try:
    double.send_sync(1)
except ltq.BrokerError as error:
    print(type(error).__name__)
"""
    assert run(program, f"redis://127.0.0.1:{free_port()}/0") == "BrokerError\n"
