"""`ltq check`, of a broker; of a worker's process see `test_cli_run_health`."""

import json
import socket

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
