"""`ltq stats`, `ltq size`, `ltq clear`, on a real server."""

import json
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from rich.console import Console

from ltq.broker import Broker
from ltq.cli.queues._live_stats import screen_lines
from ltq.message import Envelope, Finish
from ltq.names import new_id
from ltq.state import QueueStats, Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal, start_ltq

QUEUE = "mail:send"

Ltq = Callable[..., Awaitable[Done]]


@pytest.fixture
def ltq(redis_url: str) -> Ltq:
    """Runs `ltq` on the real server."""

    async def run(*arguments: str) -> Done:
        return await call_ltq(*arguments, env={"LTQ_BROKER_URL": redis_url})

    return run


async def publish(broker: Broker, count: int, delay: float = 0.0, *, queue: str = QUEUE) -> None:
    await broker.publish(
        [
            Envelope(id=new_id(), queue=queue, task_name=queue, body=b"{}", delay=delay)
            for _ in range(count)
        ]
    )


async def fill(broker: Broker) -> None:
    """1 pending, 2 delayed, 3 working and 4 dead ones."""
    await publish(broker, 7)
    consumer = broker.consumer([QUEUE])
    deliveries = await broker.claim(consumer, 7)
    await broker.finish(
        [Finish(delivery.lease, Status.FAILED, dead=True) for delivery in deliveries[:4]]
    )
    await publish(broker, 2, delay=60)
    await publish(broker, 1)
    await consumer.aclose()


COUNTS = {
    "queue": QUEUE,
    "pending": 1,
    "delayed": 2,
    "working": 3,
    "dead": 4,
    "by_priority": {"high": 0, "normal": 1, "low": 0},
    "overdue": 0,
    "unserved": {},
    "unserved_oldest": None,
    "served_ago": 0.0,
    "paused": False,
    "unswept": None,
}


async def publish_strangers(broker: Broker) -> None:
    """Three tasks that no worker knows, after one has met them."""
    for name in ("mail:new", "mail:old", "mail:new"):
        await broker.publish([Envelope(id=new_id(), queue=QUEUE, task_name=name, body=b"")])
    async with broker.consumer([QUEUE], knows=[QUEUE]) as consumer:
        assert (await consumer.claim(10)).deliveries == []


class TestStats:
    async def test_there_are_no_queues_at_first(self, ltq: Ltq, redis_url: str) -> None:
        assert await ltq("stats") == Done(0, "no queues yet\n", "")
        assert await ltq("stats", "--json") == Done(0, "[]\n", "")

    async def test_a_table_for_people(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        done = await ltq("stats")
        assert done.code == 0
        assert [line.split() for line in done.out.splitlines()] == [
            ["queue", "high", "normal", "low", "delayed", "working", "dead", "rate/s"],
            [QUEUE, "0", "1", "0", "2", "3", "4", done.out.split()[-1]],
        ]
        assert 4 / 60 <= float(done.out.split()[-1]) <= 4 / 50

    async def test_the_table_fits_80_columns(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        assert all(len(line) < 80 for line in (await ltq("stats")).out.splitlines())

    async def test_json_for_programs(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        done = await ltq("stats", "--json")
        (found,) = json.loads(done.out)
        assert 4 / 60 <= found.pop("rate") <= 4 / 50
        assert found.pop("rate_10s") > 0
        assert 0.0 <= found.pop("oldest") < 60.0
        assert found == COUNTS

    async def test_queues_that_nobody_serves_are_named(self, ltq: Ltq, broker: Broker) -> None:
        await publish(broker, 1)
        assert (await ltq("stats")).out.splitlines()[2:] == ["no worker is alive"]
        await broker.serve(["other:x"], 60.0)
        note = f"{QUEUE}: no live worker serves it"
        assert (await ltq("stats")).out.splitlines()[3:] == [note]
        await broker.serve([QUEUE], 60.0)
        assert (await ltq("stats")).out.splitlines()[3:] == []

    async def test_tasks_that_no_worker_knows_are_named(self, ltq: Ltq, broker: Broker) -> None:
        await publish_strangers(broker)
        done = await ltq("stats")
        note = f"{QUEUE}: no live worker knows mail:new (2 waiting), mail:old (1 waiting)"
        assert done.out.splitlines()[2:] == [note]
        (found,) = json.loads((await ltq("stats", "--json")).out)
        assert found["unserved"] == {"mail:new": 2, "mail:old": 1}
        assert found["pending"] == 3
        assert 0.0 <= found["unserved_oldest"] < 60.0


def long_names(count: int) -> list[QueueStats]:
    """Queues with long names that differ in their middle and end; the last ones hold most."""
    return [
        QueueStats(
            queue=f"shop-eu-west-1:order_confirmation_mail_{number:02}_again",
            pending=number,
            delayed=0,
            working=0,
            dead=number % 2,
            by_priority={"high": 0, "normal": number, "low": 0},
            served_ago=0.0,
        )
        for number in range(count)
    ]


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(width=width, height=height, force_terminal=True, color_system=None)


class TestManyLongNames:
    def shown(self, queues: list[QueueStats], width: int = 80, height: int = 24) -> list[str]:
        console = terminal(width, height)
        return [line.plain for line in screen_lines(console, queues, height - 1)]

    def test_names_lose_their_middle_until_a_line_has_room(self) -> None:
        lines = self.shown(long_names(3))
        assert max(map(len, lines)) <= 80
        names = [line.split()[0] for line in lines[1:4]]
        assert len({*names}) == 3
        assert all(name.startswith("shop-eu-west-1") and name.endswith("_again") for name in names)

    def test_marks_stay(self) -> None:
        lines = self.shown([replace(queue, paused=True) for queue in long_names(50)], height=80)
        names = [line[:29] for line in lines[1:51]]
        assert len({*names}) == 50
        assert all(name.endswith(" (paused)") for name in names)

    def test_short_names_stay(self) -> None:
        (queue,) = long_names(1)
        assert self.shown([replace(queue, queue=QUEUE)])[1].startswith(f"{QUEUE}  ")

    @pytest.mark.parametrize("height", [5, 10, 24, 60])
    @pytest.mark.parametrize("count", [0, 1, 20, 50])
    def test_the_screen_is_never_too_small(self, count: int, height: int) -> None:
        served, alone = (
            long_names(count),
            [replace(one, served_ago=5.0) for one in long_names(count)],
        )
        for queues in (served, alone, served + alone):
            lines = self.shown(queues, height=height)
            assert len(lines) < height

    def test_those_with_most_tasks_are_shown_and_the_others_counted(self) -> None:
        lines = self.shown(long_names(50))
        names = [line.split()[0] for line in lines[1:-1]]
        assert [name[-8:-6] for name in names] == [f"{number:02}" for number in range(29, 50)]
        assert lines[-1] == "… and 29 more queues with 406 tasks, 14 dead: `ltq stats` prints all"

    def test_many_notes_leave_room_for_the_table(self) -> None:
        queues = [replace(one, served_ago=5.0) for one in long_names(49)]
        lines = self.shown([*queues, replace(long_names(1)[0], queue=QUEUE)])
        assert lines[-1].startswith("… and ")
        assert lines[-1].endswith(" more notes: `ltq stats` prints all")
        assert sum("no live worker serves it" in line for line in lines) == 6


class TestStatsWatch:
    async def test_a_terminal_shows_what_has_room(self, broker: Broker, redis_url: str) -> None:
        for number in range(60):
            await publish(broker, 1, queue=f"shop-eu-west-1:order_confirmation_mail_{number}_again")
        command = ("stats", "--watch", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("Ctrl-C to end")
            terminal.interrupt()
            assert await terminal.end() == 0
        assert "more queues with" in terminal.text

    async def test_a_table_that_changes_until_ctrl_c(self, broker: Broker, redis_url: str) -> None:
        command = ("stats", "--watch", "--every", "0.1", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("Ctrl-C to end")
            await publish(broker, 7321)
            await terminal.until("7321")
            terminal.interrupt()
            assert await terminal.end() == 0
        assert QUEUE in terminal.text
        assert "Traceback" not in terminal.text
        assert terminal.raw.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"

    async def test_it_names_tasks_that_no_worker_knows(
        self, broker: Broker, redis_url: str
    ) -> None:
        command = ("stats", "--watch", "--every", "0.1", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            await terminal.until("Ctrl-C to end")
            await publish_strangers(broker)
            await terminal.until("no live worker knows mail:new (2 waiting)")
            terminal.interrupt()
            assert await terminal.end() == 0
        async with start_ltq("stats", "--watch", "--broker-url", redis_url) as running:
            assert "normal 3" in await running.out_line()
            assert "no live worker knows mail:new" in await running.out_line()

    async def test_lines_of_json_for_programs(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, 1)
        command = ("stats", "--watch", "--json", "--every", "0.1", "--broker-url", redis_url)
        async with start_ltq(*command) as running:
            for _ in range(2):
                (found,) = json.loads(await running.out_line())
                assert found["by_priority"] == {"high": 0, "normal": 1, "low": 0}
                assert (found["queue"], found["pending"]) == (QUEUE, 1)
            running.process.send_signal(signal.SIGINT)
            assert (await running.end()).code == 0

    async def test_plain_lines_for_a_pipe(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, 1)
        command = ("stats", "--watch", "--broker-url", redis_url)
        async with start_ltq(*command) as running:
            line = await running.out_line()
            assert line.endswith(
                " mail:send: high 0, normal 1, low 0, delayed 0, working 0, dead 0, rate/s 0\n"
            )


class TestSize:
    async def test_it_prints_the_number_of_waiting_tasks(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        assert await ltq("size", QUEUE) == Done(0, "3\n", "")

    async def test_json_gives_all_counts(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        found = json.loads((await ltq("size", QUEUE, "--json")).out)
        assert found.pop("rate") > 0
        assert found.pop("rate_10s") > 0
        assert 0.0 <= found.pop("oldest") < 60.0
        assert found == COUNTS

    @pytest.mark.parametrize("option", ["--broker-url", "--redis-url"])
    async def test_the_option_goes_before_the_environment(
        self, ltq: Ltq, broker: Broker, redis_url: str, option: str
    ) -> None:
        await publish(broker, 2)
        env = {"LTQ_BROKER_URL": "redis://127.0.0.1:1/0"}
        done = await call_ltq("size", QUEUE, option, redis_url, env=env)
        assert done == Done(0, "2\n", "")

    async def test_a_broker_of_this_process_is_warned_of(self) -> None:
        done = await call_ltq("stats", "--broker-url", "memory://mine")
        assert (done.code, done.out) == (0, "no queues yet\n")
        assert done.err.startswith("ltq: warning: memory://mine")


class TestClear:
    async def test_it_removes_what_waits_and_asks_nobody(self, ltq: Ltq, broker: Broker) -> None:
        await fill(broker)
        assert await ltq("clear", QUEUE) == Done(0, f"3 tasks removed from {QUEUE}\n", "")
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 3, 4)

    async def test_json_for_programs(self, ltq: Ltq, broker: Broker) -> None:
        await publish(broker, 2)
        done = await ltq("clear", QUEUE, "--json")
        assert (done.code, json.loads(done.out)) == (0, {"queue": QUEUE, "removed": 2})

    async def test_it_asks_on_a_terminal(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, 1)
        async with ltq_on_terminal("clear", QUEUE, "--broker-url", redis_url) as terminal:
            await terminal.until(f"Remove 1 task from {QUEUE} permanently? [y/N]")
            terminal.type("n\n")
            assert await terminal.end() == 1
        assert "ltq: nothing was removed" in terminal.text
        assert [stats.pending for stats in await broker.stats([QUEUE])] == [1]

    async def test_a_yes_is_enough(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, 1)
        async with ltq_on_terminal("clear", QUEUE, "--broker-url", redis_url) as terminal:
            await terminal.until("[y/N]")
            terminal.type("y\n")
            assert await terminal.end() == 0
        assert f"1 task removed from {QUEUE}" in terminal.text

    async def test_it_does_not_ask_when_told_so(self, broker: Broker, redis_url: str) -> None:
        await publish(broker, 1)
        command = ("clear", QUEUE, "--yes", "--broker-url", redis_url)
        async with ltq_on_terminal(*command) as terminal:
            assert await terminal.end() == 0
        assert terminal.text.strip() == f"1 task removed from {QUEUE}"

    async def test_it_does_not_ask_where_nothing_waits(
        self, broker: Broker, redis_url: str
    ) -> None:
        await publish(broker, 1)
        await broker.clear(QUEUE)
        async with ltq_on_terminal("clear", QUEUE, "--broker-url", redis_url) as terminal:
            assert await terminal.end() == 0
        assert terminal.text.strip() == f"0 tasks removed from {QUEUE}"
