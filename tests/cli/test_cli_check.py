"""`ltq check`, of a broker; of a worker's process see `test_cli_run_health`."""

import asyncio
import json
import socket

import pytest

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.conformance.factories import QUEUE, publish
from tests.eventually import eventually


async def test_one_that_answers_is_well(redis_url: str) -> None:
    done = await call_ltq("check", "--broker-url", redis_url)
    assert done.code == 0
    assert done.out.endswith("answers; queues: 0, none stands still\n")


async def test_a_queue_that_stands_still_is_not(broker: Broker, redis_url: str) -> None:
    await publish(broker)
    done = await call_ltq("check", "--broker-url", redis_url)
    assert done.code == 0
    done = await call_ltq("check", "--broker-url", redis_url, "--max-wait", "0")
    assert done.code == 1
    assert done.err.startswith(f"ltq: {QUEUE} stands still: 1 task waiting, the oldest for ")
    async with broker.consumer([QUEUE]) as consumer:
        await broker.claim(consumer, 1)
    done = await call_ltq("check", "--broker-url", redis_url, "--max-wait", "0")
    assert done.code == 0


async def test_one_that_is_silent_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        done = await call_ltq("check", "--broker-url", url, "--timeout", "0.2")
    assert (done.code, done.err) == (1, f"ltq: {url} did not answer within 0.2 s\n")


async def test_a_wrong_url_is_wrong_use() -> None:
    assert (await call_ltq("check", "--health-url", "localhost:1")).code == 2


async def test_json_for_programs(broker: Broker, redis_url: str) -> None:
    await publish(broker)
    options = ("check", "--json", "--broker-url", redis_url)
    done = await call_ltq(*options)
    told = json.loads(done.out)
    assert (done.code, told["ok"]) == (0, True)
    assert told["text"].endswith("answers; queues: 1, none stands still")
    done = await call_ltq(*options, "--max-wait", "0")
    told = json.loads(done.out)
    assert (done.code, told["ok"]) == (1, False)
    assert done.err == f"ltq: {told['text']}\n"


async def answering(body: bytes) -> tuple[int, str]:
    """What `ltq check` makes of a health URL that answers with this body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        done = await call_ltq("check", "--health-url", f"http://127.0.0.1:{port}")
    return done.code, done.out + done.err


async def test_a_worker_that_is_starting_has_a_status_only() -> None:
    told = await answering(b'{"workers":[{"worker":"shop","status":"starting"}]}')
    assert told == (0, "ok: shop: starting\n")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"workers":[{}]}'])
async def test_another_program_at_that_port_is_told(body: bytes) -> None:
    _, text = await answering(body)
    assert "the answer does not come from `ltq run --health-port`" in text


class TestStandstill:
    async def check(self, redis_url: str, *options: str) -> tuple[int, str]:
        done = await call_ltq("check", "--broker-url", redis_url, *options)
        return done.code, done.out + done.err

    async def test_tasks_that_are_not_due_are_well(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, delay=60.0)
        code, text = await self.check(redis_url, "--max-wait", "0")
        assert code == 0
        assert text.startswith("ok: no worker is alive; redis://")

    async def test_a_delayed_task_that_is_overdue_is_not(
        self, broker: Broker, redis_url: str
    ) -> None:
        await publish(broker, delay=0.01)

        async def is_told() -> bool:
            code, text = await self.check(redis_url, "--max-wait", "0")
            assert code == 0 or f"{QUEUE} stands still: tasks are due, the first for" in text
            return code == 1

        await eventually(is_told)
        assert (await self.check(redis_url))[0] == 0

    async def test_a_fleet_that_died_with_its_tasks_is_not(
        self, broker: Broker, redis_url: str
    ) -> None:
        await publish(broker)
        consumer = broker.consumer([QUEUE], lease=0.05)
        assert len(await broker.claim(consumer, 5)) == 1

        async def is_told() -> bool:
            code, text = await self.check(redis_url, "--max-wait", "0.1")
            assert code == 0 or "no live worker for" in text
            return code == 1

        await eventually(is_told)
        await consumer.aclose()

    async def test_a_queue_without_a_worker_is_not_although_others_run(
        self, broker: Broker, redis_url: str
    ) -> None:
        await publish(broker)
        await broker.serve(["other:x"], 60.0)
        code, text = await self.check(redis_url, "--max-wait", "0")
        assert code == 1
        assert "; no live worker was seen within a day" in text

    async def test_a_task_that_no_worker_knows_is_not(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, lane=f"{QUEUE}/mail:new", task_name="mail:new")
        await broker.serve([QUEUE], 60.0)
        code, text = await self.check(redis_url, "--max-wait", "0")
        assert (code, "no live worker knows mail:new" in text) == (1, True)

    async def test_that_any_worker_lives_may_be_asked_for(
        self, broker: Broker, redis_url: str
    ) -> None:
        assert await self.check(redis_url, "--alive") == (1, "ltq: no worker is alive\n")
        await broker.serve([QUEUE], 60.0)
        assert (await self.check(redis_url, "--alive"))[0] == 0
