"""`ltq cancel`, on a real server."""

import json

import pytest

from ltq.broker import Broker
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import ltq_on_terminal
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


async def test_of_each_id_json_has_one_line(broker: Broker, redis_url: str) -> None:
    task_id = (await publish(broker)).id
    done = await call_ltq("cancel", task_id, "nobody", task_id, "--json", "--broker-url", redis_url)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"id": task_id, "cancelled": True, "status": "cancelled"},
        {"id": "nobody", "cancelled": False, "status": None},
    ]


async def test_several_ids_and_each_that_is_not_cancelled_is_told(
    broker: Broker, redis_url: str
) -> None:
    one, other = (await publish(broker)).id, (await publish(broker, delay=60.0)).id
    done = await call_ltq("cancel", one, "nobody", other, "--broker-url", redis_url)
    assert (done.code, done.out) == (1, f"task {one} is cancelled\ntask {other} is cancelled\n")
    assert done.err.startswith("ltq: no task with id 'nobody'")


async def test_the_tasks_of_a_queue_that_are_meant(broker: Broker, redis_url: str) -> None:
    meant = await publish(broker, tags=("tenant:7",), delay=60.0)
    await publish(broker, tags=("tenant:8",), delay=60.0)
    await publish(broker, tags=("tenant:7",))
    command = ("cancel", "--queue", QUEUE, "--broker-url", redis_url)
    chosen = ("--tag", "tenant:7", "--status", "delayed", "--task", QUEUE)
    done = await call_ltq(*command, *chosen)
    assert (done.code, done.out, done.err) == (0, f"1 task of {QUEUE} cancelled\n", "")
    assert (await broker.state(QUEUE, meant.id)).status is Status.CANCELLED
    done = await call_ltq(*command, "--older-than", "1h", "--json")
    assert json.loads(done.out) == {"queue": QUEUE, "cancelled": 0}
    done = await call_ltq(*command)
    assert (done.code, done.out) == (0, f"2 tasks of {QUEUE} cancelled\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "asked"),
    [
        ((), f"Cancel 1 task of {QUEUE}?"),
        (
            ("--tag", "a", "--task", QUEUE, "--older-than", "0"),
            f"Cancel those of task {QUEUE}, with tag a, older than 0 s among 1 task of {QUEUE}?",
        ),
    ],
)
async def test_on_a_terminal_it_asks_and_names_what_is_meant(
    broker: Broker, redis_url: str, chosen: tuple[str, ...], asked: str
) -> None:
    sent = await publish(broker, tags=("a",))
    command = ("cancel", "--queue", QUEUE, *chosen, "--broker-url", redis_url)
    async with ltq_on_terminal(*command) as terminal:
        await terminal.until(asked)
        terminal.type("n\n")
        assert await terminal.end() == 1
    assert "ltq: nothing was cancelled" in terminal.text
    assert (await broker.state(QUEUE, sent.id)).status is Status.PENDING


async def test_an_unknown_queue_is_told(broker: Broker, redis_url: str) -> None:
    await publish(broker)
    done = await call_ltq("cancel", "--queue", "nope", "--broker-url", redis_url)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("ltq: there is no queue 'nope'")


async def test_wrong_use_is_one_line(redis_url: str) -> None:
    for words, named in (
        ((), "--queue QUEUE"),
        (("a", "--queue", "b"), "not both"),
        (("a", "--tag", "b"), "do not filter ids"),
        (("--queue", "b", "--status", "completed"), "completed"),
        (("--queue", "b", "--tag", "a b"), "'a b'"),
    ):
        done = await call_ltq("cancel", *words, "--broker-url", redis_url)
        assert (done.code, done.out) == (2, ""), words
        assert named in done.err


async def test_a_task_runs_once_more(broker: Broker, redis_url: str) -> None:
    envelope, waiting = await publish(broker, keep_body=True), await publish(broker)
    async with broker.consumer([QUEUE]) as consumer:
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
    ids = (envelope.id, waiting.id, "nobody", envelope.id)
    done = await call_ltq("rerun", *ids, "--broker-url", redis_url)
    new_id = done.out.strip()
    assert done.code == 1
    assert await broker.body(QUEUE, new_id) == envelope.body
    lines = done.err.splitlines()
    assert lines[0].startswith(f"ltq: task '{waiting.id}' cannot run again: it has not ended")
    assert lines[1].startswith("ltq: no task with id 'nobody'")
    done = await call_ltq("rerun", new_id, "--json", "--broker-url", redis_url)
    assert json.loads(done.out) == {"id": new_id, "new_id": None}
