"""`ltq send`: a task from a shell."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
import redis

import ltq
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.cli._errors import WrongUseError
from ltq.cli._target import load_task
from ltq.message import Finish
from ltq.state import Progress, Status
from tests.cli import jobs
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal, run_ltq, start_ltq
from tests.conformance.factories import claim_one
from tests.eventually import eventually

ADD = "tests.cli.jobs:worker.add"
BUY = "tests.cli.jobs:worker.buy"

pytestmark = pytest.mark.usefixtures("tasks")


async def send(url: str, *arguments: str) -> Done:
    return await run_ltq("send", *arguments, "--broker-url", url)


async def test_it_prints_the_id(redis_url: str) -> None:
    done = await send(redis_url, ADD, "--args", "[1, 2]")
    assert (done.code, done.err) == (0, "")
    state = await jobs.add.handle(done.out.strip()).state()
    assert state.status is Status.PENDING


async def test_a_broker_of_this_process_is_warned_of() -> None:
    done = await send("memory://mine", ADD, "--args", "[1, 2]", "--id", "nobodys")
    assert (done.code, done.out) == (0, "nobodys\n")
    assert done.err.startswith("ltq: warning: memory://mine")


async def test_json_has_the_id(redis_url: str) -> None:
    done = await send(redis_url, ADD, "--args", "[1]", "--kwargs", '{"b": 2}', "--json")
    found = json.loads(done.out)
    assert found["task"] == "jobs:add"
    assert (await jobs.add.handle(found["id"]).state()).status is Status.PENDING


async def test_tags_are_added(redis_url: str) -> None:
    done = await send(redis_url, ADD, "--args", "[1, 2]", "--tag", "tenant:7", "--tag", "by-hand")
    assert (await jobs.add.handle(done.out.strip()).state()).tags == ("tenant:7", "by-hand")
    done = await send(redis_url, ADD, "--args", "[1, 2]", "--tag", "no tag")
    assert done.code != 0
    assert "'no tag' is not 1 to 64 of the characters" in done.err


async def test_options_are_those_of_a_send(redis_url: str, broker: Broker) -> None:
    done = await send(redis_url, ADD, "--args", "[1, 2]", "--id", "mine", "--delay", "1h")
    assert done.out == "mine\n"
    assert (await jobs.add.handle("mine").state()).status is Status.DELAYED
    await send(redis_url, ADD, "--args", "[1, 2]", "--id", "low", "--priority", "low")
    await send(redis_url, ADD, "--args", "[1, 2]", "--id", "high", "--priority", "high")
    async with broker.consumer(["jobs:add"]) as consumer:
        claimed = await broker.claim(consumer, 2)
    assert [delivery.lease.id for delivery in claimed] == ["high", "low"]


async def test_arguments_become_what_the_annotations_say(redis_url: str) -> None:
    async with start_ltq("run", "tests.cli.jobs:worker", "--broker-url", redis_url) as running:
        order = json.dumps([{"count": 2, "within": "PT60S"}])
        done = await send(redis_url, BUY, "--args", order, "--wait", "--timeout", "20")
        assert done == Done(0, "120.0\n", "")
        done = await send(redis_url, ADD, "--args", "[1, 2]", "--wait", "--json")
        assert json.loads(done.out)["result"] == 3
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0
    assert jobs.Order(2, timedelta(seconds=60)).within.total_seconds() == 60


async def test_a_task_that_fails_is_exit_code_1(redis_url: str) -> None:
    waiting = asyncio.create_task(
        send(redis_url, ADD, "--args", "[1, 2]", "--id", "gone", "--wait")
    )
    handle = jobs.add.handle("gone")
    await eventually(lambda: jobs.worker.broker.find("gone"), timeout=20)
    await handle.cancel()
    assert await waiting == Done(1, "", "ltq: task gone ended as cancelled\n")


async def test_a_task_that_is_removed_leaves_no_result(redis_url: str, broker: Broker) -> None:
    waiting = asyncio.create_task(
        send(redis_url, ADD, "--args", "[1, 2]", "--id", "short", "--wait")
    )
    await eventually(lambda: broker.find("short"), timeout=20)
    await broker.clear("jobs:add")
    done = await waiting
    assert done == Done(
        1, "", "ltq: task short left no state: it ended with result_ttl=0, or it was removed\n"
    )


@pytest.mark.parametrize(
    ("options", "status", "kept"),
    [
        ((), Status.COMPLETED, False),
        (("--keep-body",), Status.COMPLETED, True),
        ((), Status.FAILED, True),
        (("--no-keep-body",), Status.FAILED, False),
    ],
)
async def test_its_arguments_are_kept_if_one_says_so(
    redis_url: str, broker: Broker, options: tuple[str, ...], status: Status, kept: bool
) -> None:
    task_id = (await send(redis_url, ADD, "--args", "[1, 2]", *options)).out.strip()
    async with broker.consumer(["jobs:add"]) as consumer:
        delivery = await claim_one(broker, consumer)
    await broker.finish([Finish(delivery.lease, status)])
    again = await call_ltq("rerun", task_id, "--broker-url", redis_url)
    assert (again.code == 0) is kept


class TestProgress:
    async def test_it_is_shown_on_a_terminal_until_the_result_is_there(
        self, broker: Broker, redis_url: str
    ) -> None:
        options = ("--args", "[1, 2]", "--id", "shown", "--wait", "--broker-url", redis_url)
        async with ltq_on_terminal("send", ADD, *options) as terminal:
            await terminal.until("waiting 0.")
            async with broker.consumer(["jobs:add"]) as consumer:
                (delivery,) = await broker.claim(consumer, 1, timeout=5)
            await broker.progress(delivery.lease, Progress(3, 10, "half \x1b[35mway"))
            await terminal.until("3/10 (30 %) half \\x1b[35mway")
            await broker.release(delivery.lease, result=b"3")
            assert await terminal.end() == 0
        assert terminal.raw.rstrip().endswith("3"), "the line is gone"
        assert "\x1b[35m" not in terminal.raw

    async def test_it_is_no_part_of_what_is_piped(self, broker: Broker, redis_url: str) -> None:
        options = ("--args", "[1, 2]", "--id", "piped", "--wait", "--broker-url", redis_url)
        async with start_ltq("send", ADD, *options) as running:
            async with broker.consumer(["jobs:add"]) as consumer:
                (delivery,) = await broker.claim(consumer, 1, timeout=10)
            await broker.progress(delivery.lease, Progress(3, 10))
            await broker.release(delivery.lease, result=b"3")
            assert await running.end() == Done(0, "3\n", "")


async def test_ctrl_c_ends_the_wait_not_the_task(redis_url: str) -> None:
    options = ("--args", "[1, 2]", "--id", "long", "--wait", "--broker-url", redis_url)
    async with start_ltq("send", ADD, *options) as running:
        with redis.Redis.from_url(redis_url) as client:  # once it waits
            await eventually(lambda: client.pubsub_channels("*:long"))
        running.process.send_signal(signal.SIGINT)
        assert await running.end() == Done(
            130, "", "ltq: stopped waiting; task long was not cancelled\n"
        )
    assert (await jobs.add.handle("long").state()).status is Status.PENDING


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((ADD, "--args", '["x", 2]'), "argument 'a'"),
        ((ADD, "1", "two"), """did you mean --args '[1, "two"]'?"""),
        ((ADD, "--args", "[1]"), "missing a required argument: 'b'"),
        ((ADD, "--args", "[1, 2]", "--kwargs", '{"c": 1}'), "'c'"),
        ((ADD, "--args", "nonsense"), "is not JSON"),
        ((ADD, "--args", "{}"), "--args must be a JSON array"),
        ((ADD, "--kwargs", "[]"), "--kwargs must be a JSON object"),
        ((ADD, "--args", "[1, 2]", "--priority", "urgent"), "'urgent' is not one of"),
        ((ADD, "--args", "[1, 2]", "--id", "a b"), "task id 'a b'"),
        ((ADD, "--args", "[1, 2]", "--timeout", "1"), "--timeout needs --wait"),
        (("tests.cli.jobs:worker",), "MODULE:WORKER.TASK"),
        (("tests.cli.jobs:worker.subtract",), "has no task 'subtract'; its tasks: add, whoami"),
        (("tests.cli.jobs:not_a_worker.add",), "is not an ltq.Worker"),
    ],
)
async def test_a_mistake_is_one_line(arguments: tuple[str, ...], text: str) -> None:
    done = await call_ltq("send", *arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert len(done.err.splitlines()) == 1


def test_arguments_are_read_whatever_the_serializer_is() -> None:
    worker = ltq.Worker("w", "memory://w", serializer="msgpack")

    @worker.task
    async def buy(order: jobs.Order, *, when: datetime) -> None: ...

    read = DeclaredTask.of(buy).codec.read_call
    given = read([{"count": 1, "within": "PT60S"}], {"when": "2026-11-22T03:00:00+00:00"})
    order = jobs.Order(1, timedelta(seconds=60))
    assert given == ((order,), {"when": datetime(2026, 11, 22, 3, tzinfo=UTC)})
    with pytest.raises(ltq.InvalidArgumentsError, match="argument 'order'"):
        DeclaredTask.of(buy).codec.read_call(
            [{"count": "x"}], {"when": "2026-11-22T03:00:00+00:00"}
        )


def test_a_former_name_leads_to_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = ltq.Worker("renamed", broker_url="memory://renamed")

    @worker.task(aliases=("old_pay",))
    def pay() -> None: ...

    monkeypatch.setattr(jobs, "renamed", worker, raising=False)
    with pytest.raises(WrongUseError, match=r"'old_pay' is a former name of .*:renamed\.pay"):
        load_task("tests.cli.jobs:renamed.old_pay")
