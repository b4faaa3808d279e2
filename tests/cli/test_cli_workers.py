"""`ltq workers`: which workers there are."""

import json

import redis

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal
from tests.conformance.factories import QUEUE, make_worker_entry, publish, publish_many


class TestWorkers:
    async def test_who_holds_what_since_when(self, broker: Broker, redis_url: str) -> None:
        await publish_many(broker, 3)
        await publish(broker, queue="mail:read")
        async with broker.consumer([QUEUE], name="one") as one:
            await broker.claim(one, 2)
        async with broker.consumer([QUEUE, "mail:read"], name="two") as two:
            assert len(await broker.claim(two, 5)) == 2
        done = await call_ltq("workers", "--json", "--broker-url", redis_url)
        first, second = json.loads(done.out)
        assert (first["name"], len(first["running"]), first["task_names"]) == ("one", 2, [QUEUE])
        assert (second["name"], second["task_names"]) == ("two", ["mail:read", QUEUE])
        with redis.Redis.from_url(redis_url) as raw:
            assert abs(raw.time()[0] - first["since"]) < 60
        done = await call_ltq("workers", "--broker-url", redis_url)
        head, *lines = [line.split() for line in done.out.splitlines()]
        assert head == ["host", "pid", "status", "tasks", "seen", "version", "queues"]
        assert lines == [["one", "alive", "2"], ["two", "alive", "2"]]

    async def test_where_they_run_and_whether_they_live(
        self, broker: Broker, redis_url: str
    ) -> None:
        await broker.announce(make_worker_entry(name="a", queues=(QUEUE, "mail:read")))
        await broker.announce(make_worker_entry(name="b", pid=2, silent_after=0.001))
        done = await call_ltq("workers", "--json", "--broker-url", redis_url)
        first, second = json.loads(done.out)
        assert (first["status"], second["status"]) == ("alive", "silent")
        assert first["queues"] == [QUEUE, "mail:read"]
        assert (first["host"], first["pid"], first["version"]) == ("host", 1, "1.0")
        assert (first["concurrency"], first["started"], first["running"]) == (10, 1e9, [])
        done = await call_ltq("workers", "--broker-url", redis_url)
        assert "host    1  alive       0   0 s      1.0  mail:send, mail:read" in done.out
        assert "host    2  silent      0   0 s      1.0  mail:send\n" in done.out
        assert done.out.endswith("1 worker is silent: killed, paused, or cut off from the broker\n")

    async def test_long_names_fit_a_terminal(self, broker: Broker, redis_url: str) -> None:
        host = f"{'billing-' * 20}7f9c6b5d4-x2x9z"
        queues = tuple(f"billing:send-invoice-{number}" for number in range(50))
        entry = make_worker_entry(
            host=host, pid=1234567, version="0.5.0", queues=queues, silent_after=600.0
        )
        await broker.announce(entry)
        command = ("workers", "--broker-url", redis_url)
        async with ltq_on_terminal(*command, size=(24, 80)) as terminal:
            assert await terminal.end() == 0
        _, line = terminal.text.splitlines()
        assert len(line) == 80
        assert "f9c6b5d4-x2x9z  1234567  alive" in line, "the end tells hosts apart"
        assert line.endswith("…")
        done = await call_ltq(*command)
        assert host in done.out
        assert "billing:send-invoice-49" in done.out

    async def test_nobody_does(self, redis_url: str) -> None:
        done = await call_ltq("workers", "--broker-url", redis_url)
        assert done == Done(0, "there are no workers\n", "")
        done = await call_ltq("workers", "--json", "--broker-url", "memory://mine")
        assert (done.code, done.out) == (0, "[]\n")
