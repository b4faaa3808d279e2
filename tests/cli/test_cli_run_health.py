"""`ltq run --health-port`, and `ltq check` of it: whether a worker consumes."""

import asyncio
import json
import os
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from devtools.servers import RedisServer, free_ports
from ltq.cli.run._health import judge
from ltq.state import WorkerHealth
from ltq.worker import Worker
from tests.cli import jobs
from tests.cli.calls import call_ltq
from tests.cli.processes import Running, run_ltq, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow

WORKER = "tests.cli.jobs:worker"


class _Worker(Worker[Any]):
    """A worker whose health is what a test says."""

    def __init__(self, *health: WorkerHealth) -> None:
        super().__init__("w", "memory://w")
        self.told = list(health)

    def health(self) -> list[WorkerHealth]:
        return self.told


def pulse(**fields: Any) -> WorkerHealth:
    well: dict[str, Any] = {"worker": "w", "claimed_ago": 1.0, "renewed_ago": 1.0, "lease": 15.0}
    return WorkerHealth(**{**well, "running": 1, "is_full": False, "is_stopping": False, **fields})


@pytest.mark.parametrize(
    ("health", "is_well", "status"),
    [
        ([], False, "starting"),
        ([pulse()], True, "ok"),
        ([pulse(claimed_ago=31.0)], False, "not claiming"),
        ([pulse(claimed_ago=31.0, is_full=True)], True, "full"),
        ([pulse(renewed_ago=16.0)], False, "not renewing its leases"),
        ([pulse(renewed_ago=16.0, is_full=True)], False, "not renewing its leases"),
        ([pulse(claimed_ago=99.0, is_stopping=True)], True, "stopping"),
        ([pulse(), pulse(claimed_ago=99.0)], False, "not claiming"),
    ],
)
def test_who_is_well(health: list[WorkerHealth], is_well: bool, status: str) -> None:
    found, told = judge([_Worker(*health)], 30.0)
    assert (found, told["workers"][0]["status"]) == (is_well, status)
    assert told["status"] == ("ok" if is_well else "unwell")


async def ask(url: str, method: str = "GET") -> tuple[int, Any]:
    """Return status and body; 0 and None if nobody answers."""

    def fetch() -> tuple[int, bytes]:
        try:
            with build_opener(ProxyHandler({})).open(Request(url, method=method)) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    code, body = await asyncio.to_thread(fetch)
    return code, json.loads(body) if body else None


async def url_of(running: Running) -> str:
    """Return the URL at which a command logs that it serves health."""
    found = re.search(r"http://\S+", await running.err_line("health at"))
    assert found
    return found[0]


async def until(url: str, code: int, status: str) -> None:
    """Wait until the worker's health has this code and status."""

    async def is_so() -> bool:
        answer = await ask(url)
        return answer[0] == code and answer[1]["workers"][0]["status"] == status

    await eventually(is_so, timeout=20, description=f"{code} {status}")


async def test_alive_but_not_consuming_is_seen(redis_executable: str) -> None:
    with RedisServer(redis_executable) as server:
        options = ("--health-port", "0", "--health-within", "2", "--broker-url", server.url)
        async with start_ltq("run", WORKER, *options) as running:
            url = await url_of(running)
            await until(url, 200, "ok")
            assert (await ask(url, "HEAD"))[1] is None
            server.kill()
            await until(url, 503, "not claiming")
            done = await call_ltq("check", "--health-url", url)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(f"ltq: {url}: jobs: not claiming, 0 running, claimed ")
            assert len(done.err.splitlines()) == 1
            server.start()
            await until(url, 200, "ok")
            running.process.send_signal(signal.SIGTERM)
            assert (await running.end()).code == 0
    done = await call_ltq("check", "--health-url", url)
    assert done.code == 1
    assert done.err.startswith(f"ltq: {url} does not answer: ")


@pytest.mark.usefixtures("tasks")
async def test_a_worker_with_all_slots_taken_is_well(redis_url: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    handle = await jobs.read.send(str(pipe))
    options = ("--health-port", "0", "--concurrency", "1", "--health-within", "0.5")
    async with start_ltq("run", WORKER, *options, "--broker-url", redis_url) as running:
        url = await url_of(running)
        await until(url, 200, "full")
        done = await call_ltq("check", "--health-url", url)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("ok: jobs: full, 1 running, claimed ")
        await asyncio.to_thread(pipe.write_text, "x")
        assert await handle.result(timeout=20) == "x"


async def test_no_client_can_disturb_it(redis_url: str) -> None:
    options = ("--health-port", "0", "--broker-url", redis_url)
    async with start_ltq("run", WORKER, *options) as running:
        url = await url_of(running)
        port = int(url.rstrip("/").rpartition(":")[2])
        idle = socket.create_connection(("127.0.0.1", port))
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        with client, suppress(OSError):  # it is cut off
            client.sendall(b"x" * 200_000)
            await asyncio.to_thread(client.recv, 1000)
        await until(url, 200, "ok")
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
        idle.close()
    assert done.code == 0
    assert "Traceback" not in done.err


async def test_each_process_has_a_port(redis_url: str) -> None:
    first = free_ports(2)
    options = ("--processes", "2", "--health-port", str(first), "--broker-url", redis_url)
    urls = [f"http://127.0.0.1:{port}/" for port in (first, first + 1)]
    async with start_ltq("run", WORKER, *options):
        for url in urls:
            await until(url, 200, "ok")
        done = await call_ltq("check", "--health-url", urls[0], "--health-url", urls[1])
        assert done.code == 0
        assert done.out.count("jobs: ok") == 2


async def test_a_port_that_is_taken_is_told_in_one_line(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ("--health-port", port, "--log-level", "error", "--broker-url", redis_url)
        done = await run_ltq("run", WORKER, *options)
    assert done.code == 1
    assert done.err == f"ltq: cannot serve health on 127.0.0.1:{port}: taken by another process\n"
