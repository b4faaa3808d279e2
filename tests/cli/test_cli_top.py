"""`ltq top`: queues, workers and running tasks, live on a terminal, once elsewhere."""

import asyncio
import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.cli._live.keys import keys_in
from ltq.cli.top._live import Shown
from ltq.cli.top._screen import Screen, share
from ltq.cli.top._snapshot import Snapshot
from ltq.errors import BrokerError
from ltq.state import QueueStats, Status, TaskState, WorkerInfo, WorkerStatus
from ltq.testing import FlakyBroker
from tests.cli.calls import call_ltq
from tests.cli.processes import Terminal, ltq_on_terminal
from tests.conformance.factories import QUEUE, make_worker_entry, publish, publish_many
from tests.eventually import eventually

WIDTH, HEIGHT = 80, 24

CLEAN = "\x1b[?1049l", "\x1b[?25h"
"""What leaves the other screen, and shows the cursor again."""


def queue(number: int, pending: int) -> QueueStats:
    name = f"shop:queue-{number:02}"
    return QueueStats(queue=name, pending=pending, delayed=0, working=0, dead=0)


def task(number: int, since: float) -> TaskState[bytes]:
    return TaskState(
        id=f"{number:024}",
        task_name="shop:send_confirmation_mail_to_the_customer",
        queue="shop:mail",
        status=Status.WORKING,
        last_dequeue_time=since,
        worker="host-1-abcd",
    )


SNAPSHOT = Snapshot(
    queues=[queue(number, pending=number) for number in range(50)],
    workers=[
        WorkerInfo(name="a", host="a" * 60, pid=1, seen=90.0, started=10.0, concurrency=5),
        WorkerInfo(name="raw", running=("1",), status=WorkerStatus.SILENT),
    ],
    tasks=[task(number, 100.0 - number) for number in range(10)],
    now=100.0,
)


def screen(*keys: str, snapshot: Snapshot | None = SNAPSHOT) -> Screen:
    """A screen after some keys were pressed, each of which was followed by a drawing."""
    shown = Screen("redis://here", {} if snapshot is None else {"": snapshot})
    shown.lines(WIDTH, HEIGHT)
    for key in keys:
        assert not shown.press(key)
        shown.lines(WIDTH, HEIGHT)
    return shown


def texts(shown: Screen, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    return [line.plain.rstrip() for line in shown.lines(width, height)]


def first_words(shown: Screen) -> list[str]:
    return [line.split()[0] for line in texts(shown) if line]


class TestScreen:
    @pytest.mark.parametrize("size", [(80, 24), (60, 12), (200, 60), (20, 5), (10, 1), (1, 1)])
    def test_it_has_exactly_the_size_of_the_terminal(self, size: tuple[int, int]) -> None:
        width, height = size
        lines = screen().lines(width, height)
        assert len(lines) == height
        assert all(line.cell_len <= width for line in lines)

    def test_it_shows_totals_and_the_busiest_queue_first(self) -> None:
        lines = texts(screen())
        assert (
            lines[0]
            == "ltq top  1225 waiting, 0 running, 0.0/s, 2 workers (1 silent)  redis://here"
        )
        assert lines[1].startswith("queue 1-14 of 50")
        assert lines[2].split()[:2] == ["shop:queue-49", "49"]
        assert lines[-1].startswith("q quit")

    def test_silent_workers_and_tasks_that_run_for_long_come_first(self) -> None:
        lines = texts(screen())
        assert "raw" in lines[17]
        assert "silent" in lines[17]
        assert lines[18].split()[-6:] == ["alive", "0", "5", "10", "s", "1"] or "10 s" in lines[18]
        assert f"{9:024}" in lines[20]

    def test_a_paused_queue_is_told_apart(self) -> None:
        paused = replace(queue(1, pending=2), paused=True)
        lines = texts(screen(snapshot=replace(SNAPSHOT, queues=[paused])))
        assert lines[2].startswith("shop:queue-01 (paused)  ")

    def test_long_names_are_cut_in_the_middle(self) -> None:
        lines = texts(screen())
        assert "shop:send_con…_the_customer" in lines[20]
        assert "… 1" not in lines[18]
        assert "a 1 " in lines[18], "the process is told apart"

    def test_it_scrolls_to_the_end_and_no_further(self) -> None:
        assert texts(screen("down"))[2].startswith("shop:queue-48")
        assert texts(screen("down", "up", "up"))[2].startswith("shop:queue-49")
        assert texts(screen("page down"))[2].startswith("shop:queue-35")
        assert texts(screen("page down", "page up"))[2].startswith("shop:queue-49")
        end = screen("end")
        assert texts(end)[1].startswith("queue 37-50 of 50")
        end.press("down")
        assert texts(end)[15].startswith("shop:queue-00")
        end.press("home")
        assert texts(end)[2].startswith("shop:queue-49")

    def test_the_chosen_pane_gets_the_room(self) -> None:
        assert "task 1-10" in " ".join(texts(screen("tab", "tab"))).replace("task 10", "task 1-10")
        tasks = texts(screen("3"))
        assert sum("shop:send" in line for line in tasks) == 10
        assert texts(screen("tab", "tab", "tab")) == texts(screen())
        assert texts(screen("back tab")) == texts(screen("3"))
        assert texts(screen("2", "1")) == texts(screen())

    def test_it_sorts_by_each_column_and_in_reverse(self) -> None:
        assert texts(screen("r"))[2].startswith("shop:queue-00")
        by_name = screen(*"s" * 6)
        assert "queue▲" in texts(by_name)[1]
        assert texts(by_name)[2].startswith("shop:queue-00")
        assert texts(screen(*"s" * 6, "r"))[2].startswith("shop:queue-49")

    def test_it_filters_what_is_typed(self) -> None:
        shown = screen("/", *"QUEUE-1x", "backspace")
        assert texts(shown)[-1].startswith("filter: QUEUE-1█")
        shown.press("q")
        shown.press("backspace")
        shown.press("enter")
        assert [word for word in first_words(shown) if word.startswith("shop")] == [
            f"shop:queue-{number}" for number in range(19, 9, -1)
        ]
        assert texts(shown)[-1].startswith("filter: QUEUE-1  Esc drops it")
        shown.press("escape")
        assert texts(shown)[1].startswith("queue 1-14 of 50")
        assert texts(screen("/", "x", "escape")) == texts(screen())

    def test_q_ends_it(self) -> None:
        assert screen().press("q")
        assert screen().press("Q")

    def test_without_an_answer_it_says_why(self) -> None:
        shown = screen(snapshot=None)
        assert texts(shown)[-1] == "reading ..."
        shown.errors[""] = "Redis is away"
        assert texts(shown)[-1] == "Redis is away"

    def test_what_others_named_cannot_control_the_terminal(self) -> None:
        bad = replace(SNAPSHOT.workers[0], host="\x1b[31mred")
        lines = texts(screen(snapshot=replace(SNAPSHOT, workers=[bad])))
        assert not any("\x1b" in line for line in lines)

    @pytest.mark.parametrize("room", range(30))
    @pytest.mark.parametrize("chosen", range(3))
    def test_no_line_is_lost_or_used_twice(self, room: int, chosen: int) -> None:
        wanted = [12, 2, 5]
        heights = share(room, wanted, chosen)
        assert sum(heights) == min(room, sum(wanted))
        assert all(0 <= height <= many for height, many in zip(heights, wanted, strict=True))


class TestKeys:
    def test_they_have_names(self) -> None:
        typed = "q\x1b[A\x1b[5~\t\x1b[Z\x1bOB\r\x7fé\x1b"
        names = ["q", "up", "page up", "tab", "back tab", "down", "enter", "backspace", "é"]
        assert keys_in(typed) == [*names, "escape"]

    def test_unknown_ones_are_left_out(self) -> None:
        assert keys_in("\x1b[15~a\x1b[1;5C") == ["a"]


class TestOnce:
    async def test_elsewhere_it_prints_once(self, broker: Broker, redis_url: str) -> None:
        done = await call_ltq("top", "--broker-url", redis_url)
        assert done.out.split("\n") == [
            *("no queues yet", "", "there are no workers", "", "no task runs", "")
        ]
        await publish_many(broker, 3)
        await broker.announce(make_worker_entry())
        async with broker.consumer([QUEUE], name="host-1-abcd") as consumer:
            (delivery,) = await broker.claim(consumer, 1)
        done = await call_ltq("top", "--broker-url", redis_url)
        words = [line.split() for line in done.out.splitlines()]
        assert words[1][:2] == [QUEUE, "2"]
        assert words[4][:5] == ["host", "1", "alive", "1", "10"]
        assert words[7][:2] == [QUEUE, delivery.lease.id]
        assert words[7][-1] == "host-1-abcd"
        done = await call_ltq("top", "--json", "--broker-url", redis_url)
        found = json.loads(done.out)
        assert [one["queue"] for one in found["queues"]] == [QUEUE]
        assert [one["pid"] for one in found["workers"]] == [1]
        assert [one["id"] for one in found["tasks"]] == [delivery.lease.id]

    @pytest.mark.slow
    async def test_a_broker_that_is_away_is_one_line(self) -> None:
        done = await call_ltq("top", "--broker-url", "redis://127.0.0.1:1")
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)


class TestOutage:
    async def test_it_is_told_and_over_once_the_broker_answers(self) -> None:
        broker = FlakyBroker(MemoryBroker("memory://top"))
        shown = Shown({"": broker}, 0.001)
        reading = asyncio.create_task(shown.read(""))
        await eventually(lambda: "" in shown.screen.snapshots)
        with broker.fail(error=BrokerError("Redis is away")):
            await eventually(lambda: shown.screen.errors == {"": "Redis is away"})
            assert "" in shown.screen.snapshots, "what was read last stays"
        await eventually(lambda: shown.screen.errors == {})
        reading.cancel()

    async def test_a_broker_that_is_silent_is_told(self) -> None:
        broker = FlakyBroker(MemoryBroker("memory://top"))
        shown = Shown({"": broker}, 0.001, patience=0.01)
        console = Console(file=io.StringIO(), width=WIDTH, height=HEIGHT)
        broker.slow(60)
        with Live(console=console, auto_refresh=False) as live:
            tasks = [asyncio.create_task(work) for work in (shown.read(""), shown.draw(live))]
            await eventually(
                lambda: "no answer from memory://top" in shown.screen.errors.get("", "")
            )
            broker.heal()
            for task in tasks:
                task.cancel()


class TestLive:
    async def opened(self, terminal: Terminal) -> None:
        await terminal.until("q quit")

    def was_left_clean(self, terminal: Terminal) -> bool:
        tail = terminal.raw[-200:]
        return all(code in tail for code in CLEAN) and "Traceback" not in terminal.text

    async def test_it_follows_keys_and_sizes_and_quits(
        self, broker: Broker, redis_url: str
    ) -> None:
        await publish(broker)
        command = ("top", "--every", "0.5s", "--broker-url", redis_url)
        async with ltq_on_terminal(*command, size=(HEIGHT, WIDTH)) as terminal:
            await self.opened(terminal)
            assert terminal.modes() != terminal.modes_before
            await publish(broker, queue="mail:later")
            await terminal.until("mail:later")
            terminal.type("/lat")
            await terminal.until("filter: lat")
            terminal.type("\r")
            await terminal.until("Esc drops it")
            terminal.resize(10, 40)
            terminal.type("q")
            assert await terminal.end() == 0
            assert terminal.modes() == terminal.modes_before
        assert self.was_left_clean(terminal)

    @pytest.mark.parametrize("ends", ["Ctrl-C", "SIGTERM"])
    async def test_it_leaves_the_terminal_as_it_was(self, ends: str, redis_url: str) -> None:
        async with ltq_on_terminal("top", "--broker-url", redis_url) as terminal:
            await self.opened(terminal)
            if ends == "Ctrl-C":
                terminal.interrupt()
            else:
                terminal.send_signal(signal.SIGTERM)
            assert await terminal.end() == 0
            assert terminal.modes() == terminal.modes_before
        assert self.was_left_clean(terminal)


class TestNamedBrokers:
    """Several brokers, each under its name."""

    def test_rows_say_whose_they_are_and_totals_are_of_all(self) -> None:
        other = replace(SNAPSHOT, queues=[queue(7, pending=60)], workers=[], tasks=[], now=0.0)
        shown = Screen("@mail @orders", {"@orders": SNAPSHOT, "@mail": other})
        lines = texts(shown, width=120)
        assert lines[0].startswith("ltq top  1285 waiting, 0 running, 0.0/s, 2 workers (1 silent)")
        assert lines[0].endswith("  @mail @orders")
        assert lines[2].split()[:3] == ["@mail", "shop:queue-07", "60"]
        assert lines[3].split()[:3] == ["@orders", "shop:queue-49", "49"]
        for key in ("/", *"@mail", "enter"):
            shown.press(key)
        assert texts(shown)[1].startswith("queue 1 ")

    def test_who_is_away_is_named_and_the_others_are_shown(self) -> None:
        shown = Screen("@mail @orders", {"@orders": SNAPSHOT}, {"@mail": "Redis is away"})
        lines = texts(shown, width=120)
        assert lines[-1] == "@mail: Redis is away"
        assert lines[2].startswith("@orders shop:queue-49")

    @pytest.fixture
    def named(self, redis_url: str, tmp_path: Path) -> Path:
        (tmp_path / "ltq.toml").write_text(
            f"[brokers]\norders.url = '{redis_url}'\nmail.url = 'memory://top'\n"
            "unset.url = '${TOP_URL}'\n"
        )
        return tmp_path

    async def test_elsewhere_each_is_printed_below_its_name(
        self, broker: Broker, redis_url: str, named: Path
    ) -> None:
        await publish(broker)
        done = await call_ltq("top", cwd=named)
        blocks = done.out.split("\n@")
        assert blocks[0].startswith(f"@orders  {redis_url}\nqueue")
        assert QUEUE in blocks[0]
        assert blocks[1].startswith("mail  memory://top\nno queues yet\n")
        assert blocks[2] == "unset\n"
        assert done.code == 1
        assert f"ltq: @unset: brokers.unset.url of {named}/ltq.toml: ${{TOP_URL}}" in done.err

    async def test_json_has_each_with_its_name(self, broker: Broker, named: Path) -> None:
        await publish(broker)
        done = await call_ltq("top", "--json", cwd=named)
        orders, mail, unset = json.loads(done.out)["brokers"]
        assert [one["queue"] for one in orders["queues"]] == [QUEUE]
        assert (orders["name"], orders["error"]) == ("@orders", None)
        assert (mail["url"], mail["queues"]) == ("memory://top", [])
        assert (unset["url"], "is not set" in unset["error"], "queues" in unset) == (
            *(None, True, False),
        )
        done = await call_ltq("top", "--json", "--broker-url", "@orders", cwd=named)
        assert [one["queue"] for one in json.loads(done.out)["queues"]] == [QUEUE]

    @pytest.mark.slow
    async def test_one_that_is_away_is_told_and_the_others_are_shown(
        self, broker: Broker, redis_url: str, tmp_path: Path
    ) -> None:
        await publish(broker)
        env = {"LTQ_BROKER_URL_UP": redis_url, "LTQ_BROKER_URL_AWAY": "redis://:secret@127.0.0.1:1"}
        done = await call_ltq("top", cwd=tmp_path, env=env)
        assert done.code == 1
        assert QUEUE in done.out
        assert done.err.startswith("ltq: @away: ")
        assert "secret" not in done.out + done.err

    async def test_live(self, broker: Broker, redis_url: str) -> None:
        await publish(broker)
        env = {"LTQ_BROKER_URL_UP": redis_url, "LTQ_BROKER_URL_MEMORY": "memory://top"}
        async with ltq_on_terminal("top", "--every", "0.5s", env=env) as terminal:
            await terminal.until(f"@up {QUEUE}")
            await terminal.until("q quit")
            terminal.type("q")
            assert await terminal.end() == 0
        assert "@memory @up" in terminal.text

    async def test_live_with_a_name_that_stands_for_none(self, redis_url: str) -> None:
        env = {"LTQ_BROKER_URL_UP": redis_url, "LTQ_BROKER_URL_WRONG": "nonsense"}
        async with ltq_on_terminal("top", env=env) as terminal:
            await terminal.until("@wrong: LTQ_BROKER_URL_WRONG of the environment: that is")
            terminal.type("q")
            assert await terminal.end() == 0
