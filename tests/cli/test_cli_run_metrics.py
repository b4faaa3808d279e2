"""`ltq run --metrics-port`: what Prometheus would scrape."""

import asyncio
import os
import re
import signal
import socket
from functools import partial
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devtools.servers import free_ports
from ltq.broker import Broker
from tests.cli import jobs
from tests.cli.calls import call_ltq
from tests.cli.processes import Running, run_ltq, start_ltq
from tests.eventually import eventually

WORKER = "tests.cli.jobs:worker"

Samples = dict[tuple[str, ...], float]
"""Values by the sample's name and the values of its labels, sorted by the labels' names."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tasks")]


async def scrape(port: int) -> Samples:
    """A scrape, over HTTP."""
    opener = build_opener(ProxyHandler({}))

    def fetch() -> str:
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text: str = response.read().decode()
            return text

    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(await asyncio.to_thread(fetch))
        for sample in family.samples
    }


async def try_scrape(port: int) -> Samples:
    """Scrape; return nothing if nobody listens."""
    try:
        return await scrape(port)
    except OSError:
        return {}


async def port_of(running: Running) -> int:
    """Return the port at which a command logs that it serves metrics."""
    line = await running.err_line("metrics at")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line)
    assert found, line
    return int(found[1])


def depth(samples: Samples, queue: str) -> list[float | None]:
    states = ("pending", "delayed", "working", "dead")
    return [samples.get(("ltq_queue_tasks", queue, state)) for state in states]


async def test_a_page_has_runs_and_depths(redis_url: str) -> None:
    await jobs.add.with_options(delay=600).send(1, 1)
    arguments = ("run", WORKER, "--metrics-port", "0", "--broker-url", redis_url)
    async with start_ltq(*arguments) as running:
        port = await port_of(running)

        async def is_watched() -> bool:
            return depth(await scrape(port), "jobs:add") == [0, 1, 0, 0]

        await eventually(is_watched, timeout=20)
        handles = await jobs.add.send_many([jobs.add.message(n, 1) for n in range(5)])
        for handle in handles:
            await handle.result(timeout=20)

        async def are_counted() -> bool:
            return (await scrape(port)).get(("ltq_runs_total", "completed", "jobs:add")) == 5

        await eventually(are_counted)
        samples = await scrape(port)
        assert samples["ltq_run_duration_seconds_count", "jobs:add"] == 5
        assert samples["ltq_wait_seconds_count", "jobs:add"] == 5
        assert samples["ltq_runs_in_progress", "jobs:add"] == 0
        assert depth(samples, "jobs:read") == [0, 0, 0, 0]
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
    assert done.code == 0
    assert "Error" not in done.err
    assert "Warning" not in done.err


async def test_an_apps_workers_are_on_one_page(
    redis_url: str, tmp_path: Path, broker: Broker
) -> None:
    (tmp_path / "shop.py").write_text(
        "import ltq\n"
        "from ltq.middleware import Prometheus\n"
        "from prometheus_client import CollectorRegistry\n"
        "registry = CollectorRegistry()\n"
        "a = ltq.Worker('a', middlewares=[Prometheus(registry)])\n"
        "b = ltq.Worker('b')\n"
        "@a.task\ndef one() -> None: ...\n"
        "@b.task\ndef two() -> None: ...\n"
        "app = ltq.App()\n"
        "app.register_worker(a)\napp.register_worker(b)\n"
    )
    arguments = ("run", "--app", "shop:app", "--metrics-port", "0", "--broker-url", redis_url)
    async with start_ltq(*arguments, cwd=tmp_path) as running:
        port = await port_of(running)
        names = {"a:one", "b:two"}

        async def are_there() -> bool:
            samples = await scrape(port)
            return all(depth(samples, name) == [0, 0, 0, 0] for name in names)

        await eventually(are_there, timeout=20)
        assert not any(name.startswith("python_info") for name, *_ in await scrape(port))
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
    assert done.code == 0


async def test_processes_serve_at_a_port_each_and_keep_it(redis_url: str) -> None:
    first = free_ports(2)
    options = ("--processes", "2", "--metrics-port", str(first), "--broker-url", redis_url)
    async with start_ltq("run", WORKER, *options) as running:
        for port in (first, first + 1):
            await eventually(partial(try_scrape, port), timeout=20)
        handles = await jobs.whoami.send_many([jobs.whoami.message() for _ in range(20)])
        answers = [await handle.result(timeout=20) for handle in handles]

        async def runs() -> float:
            pages = [await scrape(port) for port in (first, first + 1)]
            return sum(
                page.get(("ltq_runs_total", "completed", "jobs:whoami"), 0) for page in pages
            )

        async def are_counted() -> bool:
            return await runs() == len(answers)

        await eventually(are_counted)
        os.kill(int(answers[0].split()[0]), signal.SIGKILL)
        await running.err_line("restarting in")
        await running.err_line("metrics at")
        for port in (first, first + 1):
            assert await scrape(port)
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0


async def test_a_port_that_is_taken_is_told_in_one_line(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("run", WORKER, "--log-level", "error", "--metrics-port", port)
        done = await run_ltq(*arguments, "--broker-url", redis_url)
    assert done.code == 1
    assert done.err == (
        f"ltq: cannot serve metrics on 127.0.0.1:{port}: taken by another process\n"
    )


async def test_too_few_free_ports_end_all_processes(redis_url: str) -> None:
    first = free_ports(2)
    with socket.create_server(("127.0.0.1", first)):
        options = ("--processes", "2", "--metrics-port", str(first), "--broker-url", redis_url)
        done = await run_ltq("run", WORKER, *options)
    assert done.code == 1
    assert f"cannot serve metrics on 127.0.0.1:{first}-{first + 1}: taken" in done.err


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_a_host_that_is_not_here_is_told(redis_url: str, host: str) -> None:
    options = ("--metrics-port", "0", "--metrics-host", host, "--log-level", "error")
    done = await run_ltq("run", WORKER, *options, "--broker-url", redis_url)
    assert done.code == 1
    assert done.err.startswith(f"ltq: cannot serve metrics on {host}:0: ")
    assert len(done.err.splitlines()) == 1


async def test_without_the_client_the_extra_is_named(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError")
    options = ("--metrics-port", "0", "--log-level", "error", "--broker-url", redis_url)
    done = await run_ltq("run", WORKER, *options, cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("ltq: the Prometheus middleware needs prometheus-client: pip inst")
    assert len(done.err.splitlines()) == 1


async def test_it_runs_without_the_client(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError")
    (tmp_path / "opentelemetry.py").write_text("raise ImportError")
    (tmp_path / "sentry_sdk.py").write_text("raise ImportError")
    done = await run_ltq("run", WORKER, "--burst", "--broker-url", redis_url, cwd=tmp_path)
    assert done.code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--metrics-port", "65535", "--processes", "2"), "needs ports up to 65536"),
        (("--metrics-port", "65536"), "65536 is not in the range"),
        (("--metrics-port", "http"), "'http' is not a valid integer"),
    ],
)
async def test_a_wrong_port_is_told(options: tuple[str, ...], text: str) -> None:
    done = await call_ltq("run", WORKER, *options)
    assert done.code == 2
    assert text in done.err
    assert len(done.err.splitlines()) == 1


async def test_one_port_serves_one_registry(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import ltq\n"
        "from ltq.middleware import Prometheus\n"
        "from prometheus_client import CollectorRegistry\n"
        "app = ltq.App()\n"
        "for name in 'ab':\n"
        "    metrics = Prometheus(CollectorRegistry())\n"
        "    app.register_worker(ltq.Worker(name, 'memory://m', middlewares=[metrics]))\n"
    )
    done = await call_ltq("run", "--app", "shop:app", "--metrics-port", "0", cwd=tmp_path)
    assert done.code == 2
    assert "different registries" in done.err
