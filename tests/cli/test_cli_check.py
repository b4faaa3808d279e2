"""`ltq check`, of a broker; of a worker's process see `test_cli_run_health`."""

import asyncio
import json
import socket

import pytest

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.conformance.factories import QUEUE, publish


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
