"""`ltq dead`, on a real server."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import click
import pytest
import redis
from click.testing import CliRunner

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.cli import main
from ltq.cli._options import duration
from ltq.cli.dead._selection import Filter, Selection, select
from ltq.message import Envelope, Failure, Finish
from ltq.names import new_id
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal
from tests.conformance.factories import publish

QUEUE = "mail:send"
NASTY = "\x1b[31mred\x9b0m\nnext"

Ltq = Callable[..., Awaitable[Done]]


@pytest.fixture
def ltq(redis_url: str) -> Ltq:
    """Runs `ltq dead` on the real server."""

    async def run(*arguments: str) -> Done:
        return await call_ltq("dead", *arguments, env={"LTQ_BROKER_URL": redis_url})

    return run


async def bury(
    broker: Broker, text: str = "ValueError: text", *, queue: str = QUEUE, **fields: Any
) -> str:
    """A task that failed with an error of this text; its id."""
    known = {"id": new_id(), "queue": queue, "task_name": queue, "body": b'[[1],{"a":2}]'}
    envelope = Envelope(**{**known, **fields})
    await broker.publish([envelope])
    failure = Failure(text.partition(":")[0], text, f"Traceback:\n\tline 1\n{text}")
    async with broker.consumer([queue], name="worker-1") as consumer:
        (delivery,) = await broker.claim(consumer, 1, timeout=1)
    outcome = Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)
    await broker.finish([outcome])
    return envelope.id


async def pending(broker: Broker, queue: str = QUEUE) -> int:
    return (await broker.stats([queue]))[0].pending


async def ids_left(broker: Broker, queue: str = QUEUE) -> list[str]:
    return [one.id for one in await broker.dead_letters(queue)]


async def test_the_age_of_a_dead_letter_is_by_the_clock_of_the_broker() -> None:
    """If this machine's clock is wrong, its time would select other dead letters."""
    now = 1000.0
    async with MemoryBroker("memory://dead-letters-of-1970", clock=lambda: now) as broker:
        task_id = await bury(broker)
        young = Selection((), QUEUE, Filter(older_than=60))
        assert await select(broker, young) == {QUEUE: []}
        now += 61
        assert await select(broker, young) == {QUEUE: [task_id]}


async def test_each_of_several_ids_is_answered(broker: Broker, ltq: Ltq) -> None:
    first, second = await bury(broker), await bury(broker)
    done = await ltq("show", first, "nothing", second)
    assert done.code == 1
    assert done.err == "ltq: no dead letter with id 'nothing'\n"
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("id ")] == [
        first,
        second,
    ]
    done = await ltq("show", second, first, "--json")
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == [second, first]


async def test_tags_are_shown(broker: Broker, ltq: Ltq) -> None:
    plain, tagged = await bury(broker), await bury(broker, tags=("billing", "tenant:7"))
    assert "tags      billing, tenant:7" in (await ltq("show", tagged)).out
    assert "tags" not in (await ltq("show", plain)).out
    assert json.loads((await ltq("show", tagged, "--json")).out)["tags"] == ["billing", "tenant:7"]


class TestHelp:
    @pytest.mark.parametrize("command", ["list", "show", "retry", "purge"])
    def test_each_command_has_an_example_and_both_names_of_the_url(self, command: str) -> None:
        result = CliRunner().invoke(main, ["dead", command, "--help"])
        assert result.exit_code == 0
        assert f"  ltq dead {command}" in result.output.partition("Example")[2]
        assert "--broker-url, --redis-url URL" in result.output

    def test_without_a_command_it_shows_its_help_and_fails(self) -> None:
        result = CliRunner().invoke(main, ["dead"])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("Usage: ")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["frobnicate"],
            ["list", "a b"],
            ["list", "one", "two"],
            ["list", "--limit", "0"],
            ["list", "--older-than", "soon"],
            ["list", "--older-than", "-1"],
            ["show"],
            ["show", "1", "--queue", "a b"],
            ["retry"],
            ["retry", "--task", "mail:send"],
            ["retry", "1", "--error", "text"],
            ["retry", "--all", "one", "two"],
            ["purge"],
            ["purge", "--yes"],
            ["purge", "--all", "a b"],
            ["purge", "1", "--older-than", "2h"],
        ],
    )
    def test_wrong_use_is_one_line_and_exit_code_2(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(main, ["dead", *arguments])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("ltq: ")
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("15m", 900), ("2h", 7200), ("7d", 604800)]
    )
    def test_durations_have_units(self, text: str, seconds: float) -> None:
        assert duration(text) == seconds

    @pytest.mark.parametrize("text", ["", "h", "1w", "1 h", "-1", "nan", "inf", "1e3", "٣"])
    def test_other_durations_are_refused(self, text: str) -> None:
        with pytest.raises(click.BadParameter):
            duration(text)


class TestList:
    async def test_there_are_none_at_first(self, ltq: Ltq, redis_url: str) -> None:
        assert await ltq("list") == Done(0, "no dead letters\n", "")
        assert await ltq("list", "--json") == Done(0, "[]\n", "")

    async def test_a_table_for_people(self, ltq: Ltq, broker: Broker) -> None:
        first, second = await bury(broker), await bury(broker, "KeyError: " + "x" * 200)
        done = await ltq("list", QUEUE)
        assert (done.code, done.err) == (0, "")
        head, *rows = [line.split(maxsplit=6) for line in done.out.splitlines()]
        assert head == ["id", "task", "status", "died", "error"]
        assert [row[:3] for row in rows] == [[second, QUEUE, "failed"], [first, QUEUE, "failed"]]
        assert [row[3:6] for row in rows] == [[row[3], "s", "ago"] for row in rows]
        assert [row[6] for row in rows] == ["KeyError: " + "x" * 70 + "…", "ValueError: text"]

    async def test_of_all_queues_the_newest_come_first(self, ltq: Ltq, broker: Broker) -> None:
        ids = [await bury(broker, queue=queue) for queue in ("a", "b:x", "a", "b:y")]
        found = json.loads((await ltq("list", "--json")).out)
        assert [one["id"] for one in found] == ids[::-1]
        assert [one["queue"] for one in found] == ["b:y", "a", "b:x", "a"]

    async def test_a_queue_that_is_not_the_tasks_own_is_shown(
        self, ltq: Ltq, broker: Broker
    ) -> None:
        await bury(broker, task_name="mail:other")
        head, row = [line.split()[1:4] for line in (await ltq("list")).out.splitlines()]
        assert (head[:2], row[:2]) == (["task", "queue"], ["mail:other", QUEUE])

    async def test_filters(self, ltq: Ltq, broker: Broker) -> None:
        plain = await bury(broker)
        other = await bury(broker, "OSError: Timed Out", task_name="mail:other")

        async def listed(*arguments: str) -> list[str]:
            found = json.loads((await ltq("list", "--json", *arguments)).out)
            return [one["id"] for one in found]

        assert await listed("--task", QUEUE) == [plain]
        assert await listed("--task", "mail:other", QUEUE) == [other]
        assert await listed("--error", "timed out") == [other]
        assert await listed("--error", "TEXT", "--task", "mail:other") == []
        assert await listed("--older-than", "0") == [other, plain]
        assert await listed("--older-than", "1h") == []
        await publish(broker, queue="mail:empty")
        assert await listed("mail:empty") == []

    async def test_what_is_left_out_is_told(self, ltq: Ltq, broker: Broker) -> None:
        ids = [await bury(broker) for _ in range(3)]
        done = await ltq("list", "--limit", "2", "--json")
        assert [one["id"] for one in json.loads(done.out)] == ids[:0:-1]
        assert done.err == "ltq: only the newest 2 are shown: --limit N shows more\n"
        assert (await ltq("list", "--limit", "3")).err == ""

    async def test_nothing_raw_reaches_a_terminal(self, ltq: Ltq, broker: Broker) -> None:
        await bury(broker, f"ValueError: {NASTY}")
        assert r"ValueError: \x1b[31mred\x9b0m\nnext" in (await ltq("list")).out
        done = await ltq("list", "--json")
        assert done.out.isascii()
        assert json.loads(done.out)[0]["error"] == f"ValueError: {NASTY}"

    async def test_more_than_a_page(self, ltq: Ltq, broker: Broker) -> None:
        envelopes = [
            Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"{}") for _ in range(250)
        ]
        await broker.publish(envelopes)
        async with broker.consumer([QUEUE]) as consumer:
            deliveries = (await consumer.claim(250)).deliveries
        await broker.finish([Finish(one.lease, Status.FAILED, dead=True) for one in deliveries])
        found = json.loads((await ltq("list", "--limit", "1000", "--json")).out)
        assert {one["id"] for one in found} == {envelope.id for envelope in envelopes}
        assert await ltq("retry", "--all", "--task", QUEUE) == Done(
            0, "250 tasks enqueued again\n", ""
        )


class TestShow:
    async def test_it_shows_all_there_is(self, ltq: Ltq, broker: Broker) -> None:
        task_id = await bury(broker, f"ValueError: {NASTY}")
        done = await ltq("show", task_id)
        assert (done.code, done.err) == (0, "")
        table, _, trace = done.out.partition("\n\n")
        fields = {
            name: value.strip()
            for name, _, value in (line.partition("  ") for line in table.splitlines())
        }
        assert fields["id"] == task_id
        assert fields["status"] == "failed"
        assert fields["tries"] == fields["dequeues"] == "1"
        assert fields["worker"] == "worker-1"
        assert fields["body"] == '[[1],{"a":2}]'
        assert fields["error"] == r"ValueError: \x1b[31mred\x9b0m\nnext"
        assert fields["died"].endswith(" ago)")
        assert trace.splitlines() == [
            "Traceback:",
            "    line 1",
            r"ValueError: \x1b[31mred\x9b0m",
            "next",
        ]

    async def test_json_has_all_fields_and_the_body_as_a_value(
        self, ltq: Ltq, broker: Broker
    ) -> None:
        task_id = await bury(broker)
        found = json.loads((await ltq("show", task_id, "--queue", QUEUE, "--json")).out)
        assert found["body"] == [[1], {"a": 2}]
        assert found["time"] >= found["enqueue_time"]
        names = {"task_name", "queue", "status", "error", "error_type", "traceback", "tries"}
        assert set(found) > names | {"dequeue_count", "requeue_count", "deaths", "worker", "id"}

    async def test_a_body_that_is_no_json_is_a_text(self, ltq: Ltq, broker: Broker) -> None:
        task_id = await bury(broker, body=b"\x92\x91\x01")
        assert json.loads((await ltq("show", task_id, "--json")).out)["body"] == "\\x92\\x91\x01"
        assert r"\x92\x91" in (await ltq("show", task_id)).out

    async def test_one_without_a_body_cannot_be_enqueued_again(
        self, ltq: Ltq, broker: Broker, redis_url: str
    ) -> None:
        task_id = (await publish(broker, queue=QUEUE)).id
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = await broker.claim(consumer, 1, timeout=1)
        with redis.Redis.from_url(redis_url) as client:
            assert client.hdel(keys.task("mail", task_id), "body") == 1
        await broker.finish([Finish(delivery.lease, Status.FAILED, dead=True)])
        done = await ltq("show", task_id)
        assert "Its arguments were not kept: it cannot be retried.\n" in done.out
        assert json.loads((await ltq("show", task_id, "--json")).out)["body"] is None
        done = await ltq("retry", task_id)
        assert (done.code, done.out) == (1, "0 tasks enqueued again\n")
        assert await ids_left(broker) == [task_id]

    @pytest.mark.parametrize("command", ["show", "retry", "purge"])
    async def test_an_unknown_id_is_one_line(self, ltq: Ltq, broker: Broker, command: str) -> None:
        await bury(broker)
        done = await ltq(command, "no\x1bid")
        assert (done.code, done.out) == (1, "")
        assert done.err == "ltq: no dead letter with id 'no\\x1bid'\n"


class TestRetry:
    async def test_tasks_are_enqueued_again(self, ltq: Ltq, broker: Broker) -> None:
        one, two = await bury(broker), await bury(broker, queue="b:x")
        left = await bury(broker)
        assert await ltq("retry", one, two, one) == Done(0, "2 tasks enqueued again\n", "")
        assert (await pending(broker), await pending(broker, "b:x")) == (1, 1)
        assert await ids_left(broker) == [left]

    async def test_nothing_is_done_if_one_is_not_there(self, ltq: Ltq, broker: Broker) -> None:
        task_id = await bury(broker)
        assert (await ltq("retry", task_id, "nobody")).code == 1
        assert await ids_left(broker) == [task_id]

    async def test_all_of_a_queue_the_oldest_first(self, ltq: Ltq, broker: Broker) -> None:
        ids = [await bury(broker) for _ in range(3)]
        other = await bury(broker, queue="b:x")
        assert await ltq("retry", "--all", QUEUE) == Done(0, "3 tasks enqueued again\n", "")
        async with broker.consumer([QUEUE]) as consumer:
            deliveries = await broker.claim(consumer, 10)
        assert [delivery.lease.id for delivery in deliveries] == ids
        assert await ids_left(broker, "b:x") == [other]

    async def test_all_of_all_queues_that_match(self, ltq: Ltq, broker: Broker) -> None:
        await bury(broker, "OSError: timeout")
        await bury(broker, "OSError: timeout", queue="b:x")
        left = await bury(broker)
        done = await ltq("retry", "--all", "--error", "timeout")
        assert done == Done(0, "2 tasks enqueued again\n", "")
        assert await ids_left(broker) == [left]
        assert (await ltq("retry", "--all", "--older-than", "1h")).out == "0 tasks enqueued again\n"

    async def test_a_task_that_is_there_again_is_left_alone(self, ltq: Ltq, broker: Broker) -> None:
        task_id = await bury(broker, result_ttl=0.0)
        await broker.replay(QUEUE, [task_id])
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = await broker.claim(consumer, 1)
        await broker.finish([Finish(delivery.lease, Status.FAILED, dead=True, result_ttl=0.0)])
        await broker.publish([Envelope(id=task_id, queue=QUEUE, task_name=QUEUE, body=b"{}")])
        for arguments in ([task_id], ["--all"]):
            done = await ltq("retry", *arguments)
            assert (done.code, done.out) == (1, "0 tasks enqueued again\n")
            reason = "a task with this id waits or runs already"
            assert done.err == f"ltq: task {task_id} was not enqueued again: {reason}\n"


class TestForPrograms:
    async def test_a_retry_answers_for_each_task(self, ltq: Ltq, broker: Broker) -> None:
        one, two = [await bury(broker) for _ in range(2)]
        done = await ltq("retry", one, "--json")
        assert (done.code, json.loads(done.out)) == (0, [{"id": one, "answer": "created"}])
        done = await ltq("retry", "--all", "--json")
        assert (done.code, json.loads(done.out)) == (0, [{"id": two, "answer": "created"}])

    async def test_on_a_terminal_a_dead_letter_is_a_line(
        self, broker: Broker, redis_url: str
    ) -> None:
        await bury(broker, f"ValueError: {'long ' * 30}")
        async with ltq_on_terminal("dead", "list", "--broker-url", redis_url) as terminal:
            assert await terminal.end() == 0
        _, line = terminal.text.splitlines()
        assert len(line) == 120
        assert line.endswith("…")


class TestPurge:
    async def test_it_removes_and_asks_nobody(self, ltq: Ltq, broker: Broker) -> None:
        one, two, left = [await bury(broker) for _ in range(3)]
        assert await ltq("purge", one, two) == Done(0, "2 dead letters removed\n", "")
        assert await ids_left(broker) == [left]
        assert await ltq("purge", "--all", QUEUE) == Done(0, "1 dead letter removed\n", "")
        assert await ids_left(broker) == []

    async def test_json_for_programs(self, ltq: Ltq, broker: Broker) -> None:
        task_id = await bury(broker)
        assert await ltq("purge", task_id, "--json") == Done(0, '{"removed": 1}\n', "")

    async def test_those_that_match_of_all_queues(self, ltq: Ltq, broker: Broker) -> None:
        await bury(broker, "OSError: timeout")
        await bury(broker, "OSError: timeout", queue="b:x")
        left = await bury(broker)
        assert (await ltq("purge", "--all", "--older-than", "1h")).out == "0 dead letters removed\n"
        done = await ltq("purge", "--all", "--error", "timeout")
        assert done == Done(0, "2 dead letters removed\n", "")
        assert await ids_left(broker) == [left]

    async def test_it_asks_on_a_terminal(self, broker: Broker, redis_url: str) -> None:
        task_id = await bury(broker)
        command = ("dead", "purge", task_id, "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("Remove 1 dead letter permanently? [y/N]")
            terminal.type("n\n")
            assert await terminal.end() == 1
        assert "ltq: nothing was removed" in terminal.text
        assert await ids_left(broker) == [task_id]

    async def test_it_names_the_queue_of_which_it_removes_all(
        self, broker: Broker, redis_url: str
    ) -> None:
        await bury(broker)
        left = await bury(broker, queue="b:x")
        command = ("dead", "purge", "--all", QUEUE, "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until(f"Remove 1 dead letter in {QUEUE} permanently? [y/N]")
            terminal.type("y\n")
            assert await terminal.end() == 0
        assert (await ids_left(broker), await ids_left(broker, "b:x")) == ([], [left])

    async def test_it_says_what_all_means(self, broker: Broker, redis_url: str) -> None:
        await bury(broker)
        await bury(broker)
        command = ("dead", "purge", "--all", "--error", "text", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until(
                "Of 2 dead letters in all queues, remove those that match permanently? [y/N]"
            )
            terminal.type("y\n")
            assert await terminal.end() == 0
        assert "2 dead letters removed" in terminal.text

    @pytest.mark.parametrize("arguments", [["--all", "--yes"], ["--all", "mail:empty"]])
    async def test_it_does_not_ask_without_need(
        self, broker: Broker, redis_url: str, arguments: list[str]
    ) -> None:
        await bury(broker)
        await publish(broker, queue="mail:empty")
        command = ("dead", "purge", *arguments, "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            assert await terminal.end() == 0
        assert terminal.text.strip().endswith("removed")
        assert "[y/N]" not in terminal.text
