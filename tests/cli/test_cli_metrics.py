"""`ltq metrics`: what Prometheus would scrape of a broker without a worker."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devtools.servers import RedisServer, free_port
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.cli.metrics._exporter import Exporter
from ltq.cli.metrics._page import Reading, page
from ltq.cli.run._http import Answer, serve_http
from ltq.errors import BrokerError
from ltq.message import Envelope, Failure, Finish
from ltq.names import new_id
from ltq.options import Priority
from ltq.state import QueueStats, Status, WorkerInfo, WorkerStatus
from ltq.worker import Worker
from tests.cli.calls import call_ltq
from tests.cli.processes import Running, run_ltq, start_ltq
from tests.eventually import eventually

Samples = dict[tuple[str, ...], float]
"""Values by the sample's name and the values of its labels, sorted by the labels' names."""


def samples_in(text: str) -> Samples:
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def envelope(queue: str, **options: object) -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name=queue, body=b"[[],{}]", **options)  # type: ignore[arg-type]  # of a test


async def fill(broker: Broker) -> None:
    """Three pending tasks, a delayed one, one that works, and a dead letter."""
    await broker.publish([envelope("mail:send") for _ in range(2)])
    async with broker.consumer(["mail:send"]) as consumer:
        dead, _ = await broker.claim(consumer, 2, timeout=5)
        failure = Failure("OSError", "OSError: away")
        await broker.finish([Finish(dead.lease, Status.FAILED, failure=failure, dead=True)])
    await broker.publish(
        [
            envelope("mail:send", priority=Priority.HIGH),
            envelope("mail:send"),
            envelope("mail:send"),
            envelope("mail:send", delay=600.0),
        ]
    )


EXPECTED = {
    ("ltq_up",): 1,
    ("ltq_workers", "alive"): 0,
    ("ltq_workers", "silent"): 0,
    ("ltq_queue_tasks", "mail:send", "pending"): 3,
    ("ltq_queue_tasks", "mail:send", "delayed"): 1,
    ("ltq_queue_tasks", "mail:send", "working"): 1,
    ("ltq_queue_tasks", "mail:send", "dead"): 1,
    ("ltq_queue_pending_tasks", "high", "mail:send"): 1,
    ("ltq_queue_pending_tasks", "normal", "mail:send"): 2,
    ("ltq_queue_pending_tasks", "low", "mail:send"): 0,
    ("ltq_queue_paused", "mail:send"): 0,
    ("ltq_queue_unserved_tasks", "mail:send"): 0,
    ("ltq_queue_overdue_tasks", "mail:send"): 0,
}


class TestPage:
    async def test_it_has_what_the_broker_says(self, redis_url: str) -> None:
        async with Broker.from_url(redis_url) as broker:
            await fill(broker)
        done = await call_ltq("metrics", "--broker-url", redis_url)
        found = samples_in(done.out)
        assert (done.code, done.err) == (0, "")
        assert found.items() >= EXPECTED.items()
        assert 0 < found["ltq_queue_oldest_seconds", "mail:send"] < 60
        assert 0 < found["ltq_queue_ended_per_second", "mail:send"] < 1
        assert found["ltq_queue_served", "mail:send"] == 1
        assert 0 < found[("ltq_scrape_seconds",)] < 4

    async def test_a_paused_queue_is_seen(self, redis_url: str) -> None:
        async with Broker.from_url(redis_url) as broker:
            await broker.publish([envelope("mail:send")])
            await broker.pause("mail:send")
        done = await call_ltq("metrics", "--broker-url", redis_url)
        assert samples_in(done.out)["ltq_queue_paused", "mail:send"] == 1

    def test_a_queue_without_all_of_it_is_shown(self) -> None:
        bare = QueueStats(queue='odd"\\', pending=0, delayed=0, working=0, dead=0)
        found = samples_in(page(Reading(0.5, (bare,))).decode())
        assert found["ltq_queue_oldest_seconds", 'odd"\\'] == 0
        assert found["ltq_queue_served", 'odd"\\'] == 0

    def test_why_there_is_nothing_is_a_comment(self) -> None:
        text = page(Reading(0.5, why="no\nroute")).decode()
        assert text.splitlines()[0] == r"# no\nroute"
        assert samples_in(text) == {("ltq_up",): 0, ("ltq_scrape_seconds",): 0.5}

    async def test_without_queues_it_is_up(self, redis_url: str) -> None:
        done = await call_ltq("metrics", "--broker-url", redis_url)
        assert {name for name, *_ in samples_in(done.out)} == {
            *("ltq_up", "ltq_scrape_seconds", "ltq_workers"),
        }

    def test_workers_are_counted_by_their_status(self) -> None:
        workers = (
            *(WorkerInfo(name=name, seen=1.0) for name in "ab"),
            WorkerInfo(name="c", seen=1.0, status=WorkerStatus.SILENT),
            WorkerInfo(name="a consumer without a worker"),
        )
        found = samples_in(page(Reading(0.5, (), workers)).decode())
        assert found["ltq_workers", "alive"] == 2
        assert found["ltq_workers", "silent"] == 1

    async def test_a_worker_that_runs_is_alive(self, redis_url: str) -> None:
        worker = Worker("mail", broker_url=redis_url)

        @worker.task
        async def send() -> None: ...

        async with worker:

            async def is_there() -> bool:
                done = await call_ltq("metrics", "--broker-url", redis_url)
                return samples_in(done.out)["ltq_workers", "alive"] == 1

            await eventually(is_there)


class Slow(MemoryBroker):
    """Answers when it may."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.error: BrokerError | None = None
        self.may_answer = asyncio.Event()

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        self.asked += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return await super().stats(queues)


class TestExporter:
    async def test_requests_during_a_read_share_the_next_one(self) -> None:
        broker = Slow(f"memory://{new_id()}")
        exporter = Exporter(broker, 10.0)
        first = asyncio.create_task(exporter.read())
        await eventually(lambda: broker.asked == 1)
        others = [asyncio.create_task(exporter.read()) for _ in range(5)]
        await asyncio.sleep(0)  # they wait now
        broker.may_answer.set()
        answers = await asyncio.gather(first, *others)
        assert broker.asked == 2
        assert len({id(answer) for answer in answers}) == 2
        await exporter.read()
        assert broker.asked == 3

    async def test_it_does_not_wait_for_ever(self) -> None:
        broker = Slow(f"memory://{new_id()}")
        reading = await Exporter(broker, 0.02).read()
        assert reading.queues is None
        assert reading.why == f"{broker.url} does not answer within 0.02 s"
        assert 0.02 <= reading.seconds < 5

    async def test_an_outage_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", "ltq.cli")
        broker = Slow(f"memory://{new_id()}")
        broker.may_answer.set()
        exporter = Exporter(broker, 10.0)
        await exporter.read()
        broker.error = BrokerError("away")
        for _ in range(3):
            assert (await exporter.read()).why == "away"
        broker.error = None
        await exporter.read()
        await exporter.read()
        assert caplog.messages == ["away", f"the broker at {broker.url} answers"]


async def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    """The status and body of an answer."""
    request = Request(f"http://127.0.0.1:{port}{path}", method=method)

    def fetch() -> tuple[int, str]:
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=10) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def port_of(running: Running) -> int:
    line = await running.err_line("metrics at")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line)
    assert found, line
    return int(found[1])


async def test_what_cannot_be_answered_is_told_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def respond(path: str) -> Answer:
        raise RuntimeError("broken")

    server = await serve_http(respond, "127.0.0.1", 0)
    code, text = await get(server.sockets[0].getsockname()[1], "/here")
    server.close()
    assert (code, text) == (500, "there is no answer: the log says why\n")
    assert caplog.messages == ["no answer for /here: RuntimeError: broken"]


@pytest.mark.slow
class TestServer:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_each_request_asks_the_broker(
        self, redis_url: str, number: signal.Signals
    ) -> None:
        options = ("--port", "0", "--broker-url", redis_url)
        async with Broker.from_url(redis_url) as broker, start_ltq("metrics", *options) as running:
            port = await port_of(running)
            assert samples_in((await get(port))[1])[("ltq_up",)] == 1
            await fill(broker)
            code, text = await get(port, "/metrics?name[]=ltq_up")
            assert code == 200
            assert samples_in(text).items() >= EXPECTED.items()
            assert await get(port, method="HEAD") == (200, "")
            assert await get(port, "/") == (200, "the metrics are at /metrics\n")
            assert (await get(port, "/nothing"))[0] == 404
            running.process.send_signal(number)
            done = await running.end()
        assert (done.code, done.out, done.err) == (0, "", "")

    async def test_an_outage_is_a_value_and_passes(
        self, redis_executable: str, tmp_path: Path
    ) -> None:
        with RedisServer(redis_executable) as server:
            options = ("--port", "0", "--timeout", "0.5", "--broker-url", server.url)
            async with start_ltq("metrics", *options) as running:
                port = await port_of(running)
                assert samples_in((await get(port))[1])[("ltq_up",)] == 1
                os.kill(server.pid, signal.SIGSTOP)
                code, text = await get(port)
                os.kill(server.pid, signal.SIGCONT)
                assert code == 200
                assert "does not answer within 0.5 s" in text.splitlines()[0]
                assert set(samples_in(text)) == {("ltq_up",), ("ltq_scrape_seconds",)}
                await running.err_line("does not answer within 0.5 s")

                async def is_up() -> bool:
                    return samples_in((await get(port))[1])[("ltq_up",)] == 1

                await eventually(is_up)
                running.process.send_signal(signal.SIGTERM)
                done = await running.end()
        assert done.code == 0
        assert "Traceback" not in done.err

    async def test_it_starts_without_a_broker(self) -> None:
        url = f"redis://127.0.0.1:{free_port()}"
        options = ("--port", "0", "--timeout", "0.2", "--broker-url", url)
        async with start_ltq("metrics", *options) as running:
            port = await port_of(running)
            assert samples_in((await get(port))[1])[("ltq_up",)] == 0
            running.process.send_signal(signal.SIGTERM)
            done = await running.end()
        assert done.code == 0
        assert "Traceback" not in done.err

    async def test_no_client_can_disturb_it(self, redis_url: str) -> None:
        async with start_ltq("metrics", "--port", "0", "--broker-url", redis_url) as running:
            port = await port_of(running)
            idle = socket.create_connection(("127.0.0.1", port))
            for request in (b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"x" * 200_000, b""):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    try:
                        client.sendall(request)
                        client.shutdown(socket.SHUT_WR)
                        await asyncio.to_thread(client.recv, 1000)
                    except OSError:
                        pass  # it was cut off
            assert (await get(port))[0] == 200
            running.process.send_signal(signal.SIGTERM)
            done = await running.end()
            idle.close()
        assert (done.code, done.err) == (0, "")


class TestWrongUse:
    async def test_without_an_answer_it_is_one_line(self) -> None:
        url = f"redis://127.0.0.1:{free_port()}"
        done = await call_ltq("metrics", "--timeout", "0.2", "--broker-url", url)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"ltq: {url} does not answer within 0.2 s\n"

    @pytest.mark.slow
    async def test_without_the_client_the_extra_is_named(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "prometheus_client.py").write_text("raise ImportError")
        options = ("--port", "0", "--broker-url", redis_url)
        done = await run_ltq("metrics", *options, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
        assert done.code == 2
        assert done.err == (
            "ltq: ltq metrics needs prometheus-client: pip install 'ltq[prometheus]'\n"
        )

    @pytest.mark.slow
    async def test_a_port_that_is_taken_is_told(self, redis_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            done = await run_ltq("metrics", "--port", port, "--broker-url", redis_url)
        assert done.code == 1
        assert done.err == (
            f"ltq: cannot serve metrics on 127.0.0.1:{port}: taken by another process\n"
        )

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            (("--port", "65536"), "65536 is not in the range"),
            (("--timeout", "soon"), "'soon' is not a time"),
            (("--broker-url", "nothing://"), "nothing"),
        ],
    )
    async def test_it_is_one_line(self, options: tuple[str, ...], text: str) -> None:
        done = await call_ltq("metrics", *options)
        assert done.code == 2
        assert text in done.err
        assert len(done.err.splitlines()) == 1
