"""`ltq cancel`, on a real server."""

import json

from ltq.broker import Broker
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.conformance.factories import QUEUE, claim_one, publish


async def test_it_cancels_a_waiting_task(broker: Broker, redis_url: str) -> None:
    task_id = (await publish(broker)).id
    done = await call_ltq("cancel", task_id, "--broker-url", redis_url)
    assert (done.code, done.out, done.err) == (0, f"task {task_id} is cancelled\n", "")
    assert (await broker.state(QUEUE, task_id)).status is Status.CANCELLED


async def test_a_final_task_stays_as_it_is(broker: Broker, redis_url: str) -> None:
    task_id = (await publish(broker)).id
    async with broker.consumer([QUEUE]) as consumer:
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
    done = await call_ltq("cancel", task_id, "--broker-url", redis_url)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"ltq: task {task_id} had already ended: completed\n"


async def test_json_for_programs(broker: Broker, redis_url: str) -> None:
    task_id = (await publish(broker)).id
    command = ("cancel", task_id, "--json", "--broker-url", redis_url)
    for code, was in ((0, True), (1, False)):
        done = await call_ltq(*command)
        assert done.code == code
        assert json.loads(done.out) == {"id": task_id, "cancelled": was, "status": "cancelled"}
