"""`ltq tasks`, on a real server."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ltq.broker import Broker
from ltq.message import Failure, Finish
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal
from tests.conformance.factories import publish, publish_many

QUEUE = "mail:send"
LONG = "warehouse:recalculate_all_the_stock_levels_of_a_region"
NASTY = "\x1b[31mred\x9b0m\nnext"

Ltq = Callable[..., Awaitable[Done]]


@pytest.fixture
def ltq(redis_url: str) -> Ltq:
    """Runs `ltq tasks` on the real server."""

    async def run(*arguments: str) -> Done:
        return await call_ltq("tasks", *arguments, env={"LTQ_BROKER_URL": redis_url})

    return run


async def fill(broker: Broker, queue: str = QUEUE, **fields: Any) -> None:
    """One completed, one failed, one that runs, one that waits and one that is delayed."""
    known: dict[str, Any] = {"queue": queue, "body": b'[["a/b"],{"depth":2}]', **fields}
    for _ in range(4):
        await publish(broker, **known)
    async with broker.consumer(
        [queue], name="a-worker-with-a-long-name.example-123456-ab12"
    ) as one:
        first, second, _ = (await one.claim(3)).deliveries
    failure = Failure("ValueError", f"ValueError: {NASTY}")
    await broker.finish(
        [
            Finish(first.lease, Status.COMPLETED, result=b'{"sent":3}'),
            Finish(second.lease, Status.FAILED, failure=failure, dead=True),
        ]
    )
    await publish(broker, delay=90.0, **known)


async def test_each_task_has_a_row(ltq: Ltq, broker: Broker) -> None:
    await fill(broker)
    done = await ltq(QUEUE)
    assert (done.code, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert re.split(r"  +", head) == [
        *("id", "status", "when", "tries", "worker", "arguments or outcome")
    ]
    words = [re.split(r"  +", row) for row in rows]
    assert [row[1] for row in words] == ["pending", "delayed", "working", "failed", "completed"]
    assert [row[2].split()[0] for row in words] == ["waiting", "due", "running", "ended", "ended"]
    assert [row[-1] for row in words[:3]] == ['"a/b", depth=2'] * 3
    assert words[3][-1].startswith(r"ValueError: \x1b[31mred\x9b0m\nnext")
    assert words[4][-1] == '= {"sent":3}'


async def test_filters(ltq: Ltq, broker: Broker) -> None:
    await fill(broker)
    other = await publish(broker, task_name="mail:other", tags=("tenant:7",))
    for arguments in (("--task", "mail:other"), ("--tag", "tenant:7")):
        done = await ltq(QUEUE, *arguments)
        assert [row.split()[0] for row in done.out.splitlines()[1:]] == [other.id]
    done = await ltq(QUEUE, "--status", "failed", "--status", "completed")
    assert [row.split()[1] for row in done.out.splitlines()[1:]] == ["failed", "completed"]
    assert (await ltq(QUEUE, "--task", "mail:nobody")).out == "no tasks match\n"


async def test_a_queue_without_tasks(ltq: Ltq, broker: Broker) -> None:
    await publish(broker)
    await broker.clear(QUEUE)
    assert await ltq(QUEUE) == Done(0, "no tasks\n", "")


async def test_pages(ltq: Ltq, broker: Broker) -> None:
    sent = [(await publish(broker)).id for _ in range(5)]
    done = await ltq(QUEUE, "--status", "pending", "--limit", "3")
    assert [row.split()[0] for row in done.out.splitlines()[1:]] == sent[:3]
    told = re.fullmatch(r"ltq: 3 tasks of 5 shown, the next with --cursor (\S+)\n", done.err)
    assert told is not None
    rest = await ltq(QUEUE, "--status", "pending", "--cursor", told[1])
    assert [row.split()[0] for row in rest.out.splitlines()[1:]] == sent[3:]
    assert rest.err == ""
    wrong = await ltq(QUEUE, "--cursor", told[1])
    assert wrong.code == 2
    assert wrong.err.startswith("ltq: cursor '")
    assert "belongs to another query" in wrong.err
    assert wrong.err.count("\n") == 1


@pytest.mark.slow
async def test_more_than_a_page_may_be_asked_for(ltq: Ltq, broker: Broker) -> None:
    for _ in range(3):
        await publish_many(broker, 500)
    done = await ltq(QUEUE, "--limit", "1400")
    assert len(done.out.splitlines()) == 1401
    assert "1400 tasks shown" in done.err


async def test_json(ltq: Ltq, broker: Broker) -> None:
    await fill(broker, ctx=b'{"trace":7}', max_tries=3, tags=("tenant:7",))
    done = await ltq(QUEUE, "--json", "--limit", "4")
    found = json.loads(done.out)
    assert found.keys() == {"tasks", "cursor", "total"}
    assert found["total"] is None
    pending, _, working, failed = found["tasks"]
    assert pending["body"] == [["a/b"], {"depth": 2}]
    assert (pending["ctx"], pending["max_tries"], pending["tags"]) == (
        {"trace": 7},
        3,
        ["tenant:7"],
    )
    assert working["worker"] == "a-worker-with-a-long-name.example-123456-ab12"
    assert failed["error"] == f"ValueError: {NASTY}"
    rest = json.loads((await ltq(QUEUE, "--json", "--cursor", found["cursor"])).out)
    assert [task["result"] for task in rest["tasks"]] == [{"sent": 3}]
    assert rest["cursor"] is None


async def test_it_fits_a_terminal(broker: Broker, redis_url: str) -> None:
    await fill(broker, LONG, task_name=f"{LONG}:of_all_brands")
    command = ("tasks", LONG, "--broker-url", redis_url)
    async with ltq_on_terminal(*command, env={"COLUMNS": "80"}) as terminal:
        assert await terminal.end() == 0
        lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("    ") for line in lines) == 5
    assert any("on a-worker-with-a-long-name.example-123456-ab12" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("mail:sned",), 1, "there is no queue 'mail:sned': did you mean mail:send?"),
        (("mail:send", "--status", "dead"), 2, "'dead' is not one of 'pending', 'delayed'"),
        (("mail:send", "--limit", "0"), 2, "'--limit': 0 is not in the range x>=1"),
        (("mail:send", "--tag", "a b"), 2, "tag 'a b' is not allowed"),
        (("mail:send", "--task", "a b"), 2, "task name 'a b' is not allowed"),
        (("mail:send", "--cursor", "nonsense"), 2, "cursor 'nonsense' is not allowed"),
        (("a b",), 2, "queue name 'a b' is not allowed"),
        ((), 2, "missing argument 'QUEUE'"),
    ],
)
async def test_bad_input_gets_one_line(
    ltq: Ltq, broker: Broker, arguments: tuple[str, ...], code: int, told: str
) -> None:
    await publish(broker)
    done = await ltq(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("ltq: ")
    assert told in done.err
    assert done.err.count("\n") == 1
