"""`ltq state`, on a real server."""

import json

import pytest

from ltq.broker import Broker
from ltq.message import Delivery, Envelope, Failure, Finish
from ltq.names import new_id
from ltq.state import Progress, Status
from tests.cli.calls import call_ltq

QUEUE = "mail:send"
NASTY = "\x1b[31mred\x9b0m\nnext"


async def publish(broker: Broker) -> str:
    task_id = new_id()
    await broker.publish([Envelope(id=task_id, queue=QUEUE, task_name=QUEUE, body=b"{}")])
    return task_id


async def claim(broker: Broker) -> Delivery:
    async with broker.consumer([QUEUE], name="worker-1") as consumer:
        (delivery,) = await broker.claim(consumer, 1, timeout=1)
        return delivery


async def fail(broker: Broker) -> str:
    """A task that failed, with texts that no terminal should see."""
    task_id = await publish(broker)
    failure = Failure("ValueError", f"ValueError: {NASTY}", f"Traceback:\n\tline 1\n{NASTY}")
    lease = (await claim(broker)).lease
    await broker.finish([Finish(lease, Status.FAILED, failure=failure, dead=True)])
    return task_id


def fields(out: str) -> dict[str, str]:
    """The table, up to an empty line."""
    lines = out.partition("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition("  ") for line in lines)}


async def test_it_shows_a_waiting_task(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    done = await call_ltq("state", task_id, "--broker-url", redis_url)
    shown = fields(done.out)
    assert (done.code, done.err) == (0, "")
    assert shown["id"] == task_id
    assert shown["task"] == QUEUE
    assert shown["status"] == "pending"
    assert shown["enqueued"].endswith(" s ago)")
    assert "result" not in shown
    assert "error" not in shown


async def test_it_shows_a_running_task(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    delivery = await claim(broker)
    await broker.progress(delivery.lease, Progress(3, 10, f"note {NASTY}"))
    shown = fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)
    assert shown["status"] == "working"
    assert shown["worker"] == "worker-1"
    assert shown["progress"] == r"3/10 (30 %) note \x1b[31mred\x9b0m\nnext"


async def test_it_shows_the_result_as_it_is_stored(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    await broker.release((await claim(broker)).lease, result=b'{"n": [1, 2.50]}')
    shown = fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)
    assert shown["status"] == "completed"
    assert shown["result"] == '{"n": [1, 2.50]}'


async def test_it_shows_error_and_traceback_with_nothing_raw(
    broker: Broker, redis_url: str
) -> None:
    task_id = await fail(broker)
    done = await call_ltq("state", task_id, "--broker-url", redis_url)
    assert fields(done.out)["error"] == r"ValueError: \x1b[31mred\x9b0m\nnext"
    trace = done.out.partition("\n\n")[2].splitlines()
    assert trace == ["Traceback:", "    line 1", r"\x1b[31mred\x9b0m", "next"]


async def test_json_has_all_fields_and_the_result_as_a_value(
    broker: Broker, redis_url: str
) -> None:
    task_id = await publish(broker)
    await broker.release((await claim(broker)).lease, result=b'{"n": [1, 2.5]}')
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    state = json.loads(done.out)
    assert len(done.out.splitlines()) == 1
    assert state["status"] == "completed"
    assert state["result"] == {"n": [1, 2.5]}
    assert state["release_time"] >= state["enqueue_time"]


async def test_json_escapes_control_characters(broker: Broker, redis_url: str) -> None:
    task_id = await fail(broker)
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    assert done.out.isascii()
    assert json.loads(done.out)["error"] == f"ValueError: {NASTY}"


async def test_the_queue_may_be_named(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    here = await call_ltq("state", task_id, "--queue", QUEUE, "--broker-url", redis_url)
    assert here.code == 0
    there = await call_ltq("state", task_id, "--queue", "no:such", "--broker-url", redis_url)
    assert there.code == 1


@pytest.mark.parametrize("command", ["state", "watch", "cancel"])
async def test_an_unknown_id_is_one_line(redis_url: str, command: str) -> None:
    done = await call_ltq(command, "no\x1bid", "--broker-url", redis_url)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(r"ltq: no task with id 'no\x1bid'")
    assert len(done.err.splitlines()) == 1
