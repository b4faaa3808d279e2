"""Tasks start processes: those have default handlers, and the worker hears its own signals only."""

import importlib.util
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import ltq
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.brokers.redis import RedisBroker
from tests.faults import forking
from tests.faults.forking import DEFAULTS, DIED, INTERRUPTED, worker

pytestmark = pytest.mark.slow

SOON = 15.0

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None

PROGRAM = ("-m", "tests.faults.forking")
TARGET = "tests.faults.forking:worker"
RUN = ("-m", "ltq", "run")

WAYS = [
    pytest.param((*RUN, TARGET), id="ltq run"),
    pytest.param((*RUN, TARGET, "--processes", "2"), id="processes"),
    pytest.param((*RUN, "--app", "tests.faults.forking:app"), id="app"),
    pytest.param((*RUN, TARGET, "--reload"), id="reload"),
    pytest.param((*PROGRAM, "asyncio"), id="asyncio"),
    pytest.param(
        (*PROGRAM, "uvloop"),
        id="uvloop",
        marks=pytest.mark.skipif(not HAS_UVLOOP, reason="uvloop is not installed"),
    ),
    pytest.param((*PROGRAM, "embedded"), id="embedded"),
]
"""How a worker may be run."""

TASKS: list[tuple[ltq.Task[..., Any], tuple[str, ...], Any]] = [
    *(
        (task, (kind,), [DEFAULTS] * count)
        for kind in ("fork", "spawn", "forkserver")
        for task, count in [(forking.pool, 2), (forking.executor, 2)]
    ),
    (forking.pool_in_loop, ("fork",), [DEFAULTS] * 2),
    (forking.pool_of_short_lives, ("fork",), [DEFAULTS] * 3),
    (forking.executor_in_loop, ("fork",), [DEFAULTS]),
    (forking.terminated_at_once, (), [DIED] * 10),
    (forking.preexec, (), DEFAULTS),
    (forking.send_from_a_fork, (), 24),
    (forking.send_from_a_fork_of_a_thread, (), 4),
    (forking.send_from_a_pool, (), 8),
    *(
        (task, (how,), code)
        for task in (forking.fork, forking.fork_in_loop)
        for how, code in [("defaults", 1), ("SIGTERM", DIED), ("SIGINT", INTERRUPTED)]
    ),
    *(
        (task, (how,), code)
        for task in (forking.fork_and_go_on, forking.fork_and_go_on_in_thread)
        for how, code in [
            ("return", 0),
            ("exit", 0),
            ("exit with 3", 3),
            ("exit with a text", 1),
            ("error", 1),
            ("interrupt", INTERRUPTED),
        ]
    ),
]
"""Tasks that start processes, their arguments, and what they return."""


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(autouse=True)
async def _broker(server: RedisServer, monkeypatch: pytest.MonkeyPatch, admin: Any) -> Any:
    admin.flushall()
    async with RedisBroker(server.url) as broker:
        monkeypatch.setattr(worker, "broker", broker)
        yield


async def start(fleet: Fleet, server: RedisServer, way: Sequence[str]) -> WorkerProcess:
    running = await fleet.run(server.url, way)
    await (await forking.whoami.send()).result(SOON)
    return running


@pytest.mark.parametrize("way", WAYS)
async def test_they_have_default_handlers_and_the_worker_goes_on(
    server: RedisServer, fleet: Fleet, way: Sequence[str]
) -> None:
    running = await start(fleet, server, way)
    for task, arguments, value in TASKS:
        handle = await task.send(*arguments)
        assert (task.name, arguments, await handle.result(SOON)) == (task.name, arguments, value)
    assert running.exit_code is None
    assert not running.lines("restarting")
    assert not running.lines("running tasks")
    running.signal(signal.SIGTERM)
    assert await running.end(SOON) == 0
