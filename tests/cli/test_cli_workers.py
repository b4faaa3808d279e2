"""`ltq workers`: who holds tasks."""

import json

import redis

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.cli.processes import Done
from tests.conformance.factories import QUEUE, publish, publish_many


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
        assert head == ["worker", "tasks", "since", "names"]
        assert [line[:2] for line in lines] == [["one", "2"], ["two", "2"]]

    async def test_nobody_does(self, redis_url: str) -> None:
        done = await call_ltq("workers", "--broker-url", redis_url)
        assert done == Done(0, "no worker holds a task\n", "")
        done = await call_ltq("workers", "--json", "--broker-url", "memory://mine")
        assert (done.code, done.out) == (0, "[]\n")
