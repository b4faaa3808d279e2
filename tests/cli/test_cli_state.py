"""`ltq state`, on a real server."""

import json
import re

import pytest
import redis

from ltq.broker import Broker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Delivery, Envelope, Failure, Finish, Requeue
from ltq.names import new_id
from ltq.state import Priority, Progress, Status
from tests.cli.calls import call_ltq

QUEUE = "mail:send"
NASTY = "\x1b[31mred\x9b0m\nnext"


async def publish(broker: Broker, body: bytes = b"{}", delay: float = 0.0) -> str:
    envelope = Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=body, delay=delay)
    await broker.publish([envelope])
    return envelope.id


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


CALL = b'[["a/b",[1,2.5]],{"depth":2}]'


class TestArguments:
    async def shown(self, task_id: str, url: str) -> str | None:
        done = await call_ltq("state", task_id, "--broker-url", url)
        return fields(done.out).get("arguments")

    async def in_json(self, task_id: str, url: str) -> object:
        done = await call_ltq("state", task_id, "--json", "--broker-url", url)
        return json.loads(done.out)["body"]

    async def test_they_are_those_of_the_call_until_it_ends(
        self, broker: Broker, redis_url: str
    ) -> None:
        task_id = await publish(broker, CALL)
        assert await self.shown(task_id, redis_url) == '"a/b", [1, 2.5], depth=2'
        assert await self.in_json(task_id, redis_url) == [["a/b", [1, 2.5]], {"depth": 2}]
        lease = (await claim(broker)).lease
        assert await self.shown(task_id, redis_url) == '"a/b", [1, 2.5], depth=2'
        await broker.release(lease)
        assert await self.shown(task_id, redis_url) is None
        assert await self.in_json(task_id, redis_url) is None

    async def test_those_of_a_failed_task_are_in_its_dead_letter(
        self, broker: Broker, redis_url: str
    ) -> None:
        task_id = await publish(broker, CALL)
        lease = (await claim(broker)).lease
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        assert await self.shown(task_id, redis_url) == '"a/b", [1, 2.5], depth=2'
        assert await broker.purge(QUEUE) == 1
        assert await self.shown(task_id, redis_url) is None
        assert await self.in_json(task_id, redis_url) is None

    async def test_long_ones_are_cut_but_not_for_programs(
        self, broker: Broker, redis_url: str
    ) -> None:
        task_id = await publish(broker, b'[["' + b"x" * 5000 + b'"],{}]')
        shown = await self.shown(task_id, redis_url)
        assert shown == '"' + "x" * 999 + "… (5002 characters)"
        assert await self.in_json(task_id, redis_url) == [["x" * 5000], {}]

    async def test_nothing_raw_reaches_a_terminal(self, broker: Broker, redis_url: str) -> None:
        task_id = await publish(broker, b'[["\\u001b[31mred","\xc2\x9b0m"],{"k":"\\n"}]')
        done = await call_ltq("state", task_id, "--broker-url", redis_url)
        assert r'"\u001b[31mred", "\x9b0m", k="\n"' in done.out


async def test_it_says_when_a_delayed_task_is_due(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker, delay=90.5)
    shown = fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)
    assert shown["status"] == "delayed"
    assert re.search(r" \(in 1 min (30|29) s\)$", shown["due"])
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    state = json.loads(done.out)
    assert state["due_time"] == pytest.approx(state["enqueue_time"] + 90.5, abs=0.1)


async def test_it_shows_priority_tags_and_failed_runs(broker: Broker, redis_url: str) -> None:
    priority, tags = Priority.HIGH, ("billing", "tenant:7")
    envelope = Envelope(
        id="a1", queue=QUEUE, task_name=QUEUE, body=b"[[],{}]", priority=priority, tags=tags
    )
    await broker.publish([envelope])
    await broker.finish([Requeue((await claim(broker)).lease, failed=True)])
    shown = fields((await call_ltq("state", "a1", "--broker-url", redis_url)).out)
    assert (shown["priority"], shown["tags"], shown["tries"]) == ("high", "billing, tenant:7", "1")
    done = await call_ltq("state", "a1", "--json", "--broker-url", redis_url)
    state = json.loads(done.out)
    assert (state["priority"], state["tags"], state["tries"]) == ("high", [*tags], 1)


async def test_each_of_several_ids_is_answered(broker: Broker, redis_url: str) -> None:
    first, second = await publish(broker), await fail(broker)
    done = await call_ltq("state", first, "nothing", second, "no/id", "--broker-url", redis_url)
    assert done.code == 1
    assert re.findall(r"^id +(\S+)$", done.out, re.MULTILINE) == [first, second]
    assert "\n\nid " in done.out
    assert [line.split(":")[1] for line in done.err.splitlines()] == [
        " no task with id 'nothing'",
        " no task with id 'no/id'",
    ]
    done = await call_ltq("state", second, first, "--json", "--broker-url", redis_url)
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [second, first]


async def test_what_is_usual_is_not_shown(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    shown = fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)
    assert {"priority", "tags", "tries"}.isdisjoint(shown)
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    state = json.loads(done.out)
    assert (state["priority"], state["tags"], state["tries"]) == ("normal", [], 0)


async def test_ages_are_by_the_clock_of_the_broker(
    broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await publish(broker, delay=90.5)
    monkeypatch.setattr("time.time", lambda: 0.0)
    shown = fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)
    assert " (in 1 min " in shown["due"]
    assert shown["enqueued"].endswith(" s ago)")


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


async def test_the_deaths_are_shown(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    lease = (await claim(broker)).lease
    assert await broker.heartbeat([lease], 0.0) == []
    assert (await broker.sweep([QUEUE])).recovered == 1
    assert (
        fields((await call_ltq("state", task_id, "--broker-url", redis_url)).out)["deaths"] == "1"
    )
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    found = json.loads(done.out)
    assert (found["deaths"], found["requeue_count"], found["status"]) == (1, 1, "pending")


async def test_a_record_whose_queue_is_spoilt_is_shown_without_arguments(
    broker: Broker, redis_url: str
) -> None:
    task_id = await publish(broker)
    with redis.Redis.from_url(redis_url) as raw:
        raw.hset(keys.task("mail", task_id), "queue", "a b\n")
    done = await call_ltq("state", task_id, "--json", "--broker-url", redis_url)
    assert (json.loads(done.out)["queue"], json.loads(done.out)["body"]) == ("a b\n", None)
