"""`ltq watch`, on a real server."""

import json

import pytest

from ltq.broker import Broker
from ltq.cli._format import clock_text
from ltq.message import Delivery, Envelope, Failure, Finish
from ltq.names import new_id
from ltq.state import Progress, Status
from tests.cli.calls import call_ltq
from tests.cli.processes import ltq_on_terminal, start_ltq

QUEUE = "mail:send"


async def publish(broker: Broker, delay: float = 0.0) -> str:
    envelope = Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"{}", delay=delay)
    await broker.publish([envelope])
    return envelope.id


async def claim(broker: Broker) -> Delivery:
    async with broker.consumer([QUEUE]) as consumer:
        (delivery,) = await broker.claim(consumer, 1, timeout=1)
        return delivery


async def fail(broker: Broker, delivery: Delivery) -> None:
    failure = Failure("ValueError", "ValueError: no \x1b[31mway")
    await broker.finish([Finish(delivery.lease, Status.FAILED, failure=failure)])


async def test_a_line_for_each_state(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    async with start_ltq("watch", task_id, "--broker-url", redis_url) as watching:
        assert (await watching.out_line()).split()[1:] == ["pending"]
        delivery = await claim(broker)
        assert (await watching.out_line()).split()[1:] == ["working"]
        await broker.progress(delivery.lease, Progress(3, 10, "half \x1b[31m[b]way"))
        assert (await watching.out_line()).split(maxsplit=1)[1] == (
            "working 3/10 (30 %) half \\x1b[31m[b]way\n"
        )
        await broker.release(delivery.lease, result=b'"done"')
        done = await watching.end()
    assert done.code == 0
    assert done.out.split()[1:] == ["completed", "result", '"done"']
    assert done.err == ""


async def test_the_items_of_a_stream_are_lines(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    lease = (await claim(broker)).lease
    await broker.append(lease, 0, [b'"early \\u001b"'], 10)
    async with start_ltq("watch", task_id, "--broker-url", redis_url) as watching:
        assert (await watching.out_line()).split(maxsplit=1)[1] == 'item "early \\u001b"\n'
        assert (await watching.out_line()).split()[1:] == ["working"]
        await broker.append(lease, 1, [b"2", b"3"], 10)
        for number in "23":
            assert (await watching.out_line()).split()[1:] == ["item", number]
        await broker.requeue(lease)
        assert (await watching.out_line()).split()[1:] == ["pending"]
        lease = (await claim(broker)).lease
        assert (await watching.out_line()).split()[1:] == ["working", "(run", "2)"]
        await broker.append(lease, 0, [b"\0own\0\xff"], 10)
        assert "item b'\\xff' (1 bytes of serializer own)" in await watching.out_line()
        await broker.release(lease, result=b"1")
        done = await watching.end()
    assert done.out.split()[1:] == ["completed", "(run", "2)", "result", "1"]


async def test_items_are_objects_with_json(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    lease = (await claim(broker)).lease
    await broker.append(lease, 0, [b'{"a":1}', b"2"], 10)
    await broker.release(lease, result=b"2")
    done = await call_ltq("watch", task_id, "--json", "--broker-url", redis_url)
    *items, state = map(json.loads, done.out.splitlines())
    assert items == [
        {"id": task_id, "attempt": 1, "number": 0, "item": {"a": 1}},
        {"id": task_id, "attempt": 1, "number": 1, "item": 2},
    ]
    assert (state["items"], state["status"]) == (2, "completed")


async def test_several_tasks_are_followed_at_once(broker: Broker, redis_url: str) -> None:
    first, second = await publish(broker), await publish(broker)
    async with start_ltq("watch", first, second, first, "--broker-url", redis_url) as watching:
        waiting = {(await watching.out_line()).split()[1] for _ in range(2)}
        assert waiting == {first, second}
        one, other = await claim(broker), await claim(broker)
        for _ in range(2):
            assert (await watching.out_line()).split()[2] == "working"
        await broker.release(other.lease, result=b"2")
        assert (await watching.out_line()).split()[1:] == [second, "completed", "result", "2"]
        await fail(broker, one)
        done = await watching.end()
    assert done.code == 1
    assert done.out.split()[1:] == [first, "failed"]
    assert done.err == f"ltq: task {first} ended as failed: ValueError: no \\x1b[31mway\n"


async def test_each_unknown_id_is_told_when_the_others_have_ended(
    broker: Broker, redis_url: str
) -> None:
    known = await publish(broker)
    await broker.release((await claim(broker)).lease, result=b"1")
    done = await call_ltq("watch", "a", known, "b", "--json", "--broker-url", redis_url)
    assert done.code == 1
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [known]
    gone = "unknown, or its result has expired"
    assert done.err == f"ltq: no task with id 'a': {gone}\nltq: no task with id 'b': {gone}\n"


async def test_a_json_object_for_each_state(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    async with start_ltq("watch", task_id, "--json", "--redis-url", redis_url) as watching:
        assert json.loads(await watching.out_line())["status"] == "pending"
        delivery = await claim(broker)
        assert json.loads(await watching.out_line())["status"] == "working"
        await broker.progress(delivery.lease, Progress(3, 10))
        progress = json.loads(await watching.out_line())["progress"]
        assert progress == {"current": 3, "total": 10, "note": ""}
        await broker.release(delivery.lease, result=b"[1]")
        done = await watching.end()
    assert done.code == 0
    assert json.loads(done.out)["result"] == [1]


async def test_another_end_is_exit_code_1(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    await fail(broker, await claim(broker))
    done = await call_ltq("watch", task_id, "--broker-url", redis_url)
    assert done.code == 1
    assert done.out.split()[1:] == ["failed"]
    assert done.err == f"ltq: task {task_id} ended as failed: ValueError: no \\x1b[31mway\n"


async def test_a_second_run_is_told(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    await broker.requeue((await claim(broker)).lease)
    await broker.release((await claim(broker)).lease, result=b"null")
    done = await call_ltq("watch", task_id, "--broker-url", redis_url)
    assert done.out.split(maxsplit=1)[1] == "completed (run 2) result null\n"


async def test_each_line_begins_with_the_brokers_time_of_its_state(
    broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await publish(broker)
    await broker.release((await claim(broker)).lease, result=b"1")
    ended = (await broker.state(QUEUE, task_id)).release_time
    assert ended is not None
    monkeypatch.setattr("time.time", lambda: 0.0)
    done = await call_ltq("watch", task_id, "--broker-url", redis_url)
    assert done.out.split() == [clock_text(ended), "completed", "result", "1"]


async def test_a_long_result_is_cut(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    await broker.release((await claim(broker)).lease, result=b'"%s"' % (b"x" * 998))
    done = await call_ltq("watch", task_id, "--broker-url", redis_url)
    assert done.out.endswith("xxx… (1000 characters)\n")


async def test_a_timeout_is_one_line_and_exit_code_1(broker: Broker, redis_url: str) -> None:
    task_id = await publish(broker)
    done = await call_ltq("watch", task_id, "--timeout", "0.2", "--broker-url", redis_url)
    assert done.code == 1
    assert done.err == f"ltq: task '{task_id}' did not end within 0.2 s\n"


class TestOnATerminal:
    async def test_one_line_moves(self, broker: Broker, redis_url: str) -> None:
        task_id = await publish(broker)
        async with ltq_on_terminal("watch", task_id, "--broker-url", redis_url) as terminal:
            await terminal.until("pending")
            delivery = await claim(broker)
            await broker.progress(delivery.lease, Progress(3, 10, "half \x1b[35m[b]way"))
            await terminal.until("3/10 (30 %) half \\x1b[35m[b]way")
            await broker.release(delivery.lease, result=b'"\x1b[35m"')
            assert await terminal.end() == 0
        assert "completed" in terminal.text
        assert 'result "\\x1b[35m"' in terminal.text
        assert "\x1b[35m" not in terminal.raw

    async def test_it_tells_how_long_the_task_has_been_there(
        self, broker: Broker, redis_url: str
    ) -> None:
        task_id = await publish(broker, delay=3600)
        command = ("watch", task_id, "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("due in 59 min")
        task_id = await publish(broker)
        command = ("watch", task_id, "--broker-url", redis_url)
        async with ltq_on_terminal(*command, env={"COLUMNS": "80"}) as terminal:
            await terminal.until("waiting 0.")
            delivery = await claim(broker)
            await broker.progress(delivery.lease, Progress(3, 10, "x" * 200))
            await terminal.until("… running 0.")
            await broker.release(delivery.lease)
            assert await terminal.end() == 0
        assert "ran 0." in terminal.text
        assert "xxx\n" not in terminal.text

    async def test_the_last_line_tells_how_far_a_failing_task_came(
        self, broker: Broker, redis_url: str
    ) -> None:
        task_id = await publish(broker)
        async with ltq_on_terminal("watch", task_id, "--broker-url", redis_url) as terminal:
            delivery = await claim(broker)
            await broker.progress(delivery.lease, Progress(3, 10))
            await terminal.until("3/10 (30 %)")
            await fail(broker, delivery)
            assert await terminal.end() == 1
        last = terminal.text.rpartition("failed ━")[2]
        assert "3/10 (30 %)" in last
        assert "ltq: task" in last

    async def test_ctrl_c_stops_it(self, broker: Broker, redis_url: str) -> None:
        task_id = await publish(broker)
        async with ltq_on_terminal("watch", task_id, "--broker-url", redis_url) as terminal:
            await terminal.until("pending")
            terminal.interrupt()
            assert await terminal.end() == 130
        assert terminal.text.rstrip().endswith("ltq: stopped")

    async def test_a_dumb_terminal_gets_plain_lines(self, broker: Broker, redis_url: str) -> None:
        task_id = await publish(broker)
        await broker.release((await claim(broker)).lease, result=b"1")
        command = ("watch", task_id, "--broker-url", redis_url)
        async with ltq_on_terminal(*command, env={"TERM": "dumb"}) as terminal:
            assert await terminal.end() == 0
        assert terminal.raw == terminal.text
        assert terminal.text.split()[1:] == ["completed", "result", "1"]
