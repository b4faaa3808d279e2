"""`ltq workers`, `ltq stats --watch`: what runs, and live."""

import json
import signal

import redis

from ltq.broker import Broker
from tests.cli.processes import Done, ltq_on_terminal, run_ltq, start_ltq
from tests.conformance.factories import QUEUE, publish, publish_many


class TestWorkers:
    async def test_who_holds_what_since_when(self, broker: Broker, redis_url: str) -> None:
        await publish_many(broker, 3)
        await publish(broker, queue="mail:read")
        async with broker.consumer([QUEUE], name="one") as one:
            await broker.claim(one, 2)
        async with broker.consumer([QUEUE, "mail:read"], name="two") as two:
            assert len(await broker.claim(two, 5)) == 2
        done = await run_ltq("workers", "--json", "--broker-url", redis_url)
        first, second = json.loads(done.out)
        assert (first["name"], len(first["running"]), first["task_names"]) == ("one", 2, [QUEUE])
        assert (second["name"], second["task_names"]) == ("two", ["mail:read", QUEUE])
        with redis.Redis.from_url(redis_url) as raw:
            assert abs(raw.time()[0] - first["since"]) < 60
        done = await run_ltq("workers", "--broker-url", redis_url)
        head, *lines = [line.split() for line in done.out.splitlines()]
        assert head == ["worker", "tasks", "since", "names"]
        assert [line[:2] for line in lines] == [["one", "2"], ["two", "2"]]

    async def test_nobody_does(self, redis_url: str) -> None:
        done = await run_ltq("workers", "--broker-url", redis_url)
        assert done == Done(0, "no worker holds a task\n", "")
        done = await run_ltq("workers", "--json", "--broker-url", "memory://mine")
        assert (done.code, done.out) == (0, "[]\n")


class TestWatch:
    async def test_a_table_that_changes_until_ctrl_c(self, broker: Broker, redis_url: str) -> None:
        command = ("stats", "--watch", "--every", "0.1", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("Ctrl-C ends")
            await publish_many(broker, 7321)
            await terminal.until("7321")
            terminal.interrupt()
            assert await terminal.end() == 0
        assert QUEUE in terminal.text
        assert "Traceback" not in terminal.text
        assert terminal.raw.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"

    async def test_lines_of_json_for_programs(self, broker: Broker, redis_url: str) -> None:
        await publish(broker)
        command = ("stats", "--watch", "--json", "--every", "0.1", "--broker-url", redis_url)
        async with start_ltq(*command) as running:
            for _ in range(2):
                (found,) = json.loads(await running.out_line())
                assert found["by_priority"] == {"high": 0, "normal": 1, "low": 0}
                assert (found["queue"], found["pending"]) == (QUEUE, 1)
            running.process.send_signal(signal.SIGINT)
            assert (await running.end()).code == 0

    async def test_plain_lines_for_a_pipe(self, broker: Broker, redis_url: str) -> None:
        await publish(broker)
        command = ("stats", "--watch", "--broker-url", redis_url)
        async with start_ltq(*command) as running:
            line = await running.out_line()
            assert line.endswith(
                " mail:send: high 0, normal 1, low 0, delayed 0, working 0, dead 0, rate/s 0\n"
            )
