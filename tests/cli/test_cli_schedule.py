"""`ltq schedule`, and `ltq run --with-scheduler`."""

import json
import re
import signal
from datetime import datetime
from pathlib import Path

import pytest

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, run_ltq, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow

MODULE = """
import ltq

worker = ltq.Worker("plan")
bare = ltq.Worker("bare", broker_url="memory://bare")


@worker.cron("* * * * * *", name="second")
@worker.cron("30 2 * * *", tz="Europe/Berlin", misfire="skip", name="night")
@worker.task
async def tick(note: str = "") -> None: ...


@bare.task
async def nothing() -> None: ...


scheduler = ltq.Scheduler()
scheduler.cron("* * * * * *", tick.message("hello"))
empty = ltq.Scheduler()
number = 5
"""

QUEUE = "plan:tick"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "plan.py").write_text(MODULE)
    (tmp_path / "chores.py").write_text('import ltq\n\nmine = ltq.Worker("chores")\n')
    return tmp_path


async def fired(broker: Broker) -> int:
    (stats,) = await broker.stats([QUEUE])
    return stats.pending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("target", ["plan:scheduler", "plan:worker"])
async def test_it_fires_until_a_signal(
    redis_url: str, broker: Broker, here: Path, number: signal.Signals, target: str
) -> None:
    arguments = ("schedule", target, "--broker-url", redis_url)
    async with start_ltq(*arguments, cwd=here) as running:
        line = await running.err_line("schedule")
        assert f"broker {redis_url}" in line
        await eventually(lambda: fired(broker), 10.0)
        running.process.send_signal(number)
        done = await running.end()
    assert (done.code, done.out) == (0, "")
    assert "scheduler has stopped" in done.err


async def test_it_logs_as_told(redis_url: str, here: Path) -> None:
    options = ("--log-format", "json", "--log-level", "warning", "--broker-url", "memory://mine")
    async with start_ltq("schedule", "plan:scheduler", *options, cwd=here) as running:
        told = json.loads(await running.err_line("memory://mine"))
        assert (told["level"], told["logger"]) == ("warning", "ltq.cli")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == Done(0, "", "")


async def test_the_log_of_its_module_is_written_in_the_same_way(here: Path) -> None:
    (here / "chatty.py").write_text(
        "import logging, ltq\n"
        "worker = ltq.Worker('chatty')\n"
        "@worker.cron('* * * * * *')\n"
        "@worker.task\n"
        "async def tick() -> None: ...\n"
        "class Chatty(ltq.Scheduler):\n"
        "    async def run(self) -> None:\n"
        "        logging.getLogger('own').info('begins')\n"
        "scheduler = Chatty('memory://mine')\n"
        "scheduler.register_worker(worker)\n"
    )
    done = await run_ltq("schedule", "chatty:scheduler", "--log-format", "json", cwd=here)
    told = [json.loads(line) for line in done.err.splitlines()]
    assert ("own", "begins") in [(one["logger"], one["message"]) for one in told]


async def test_it_waits_for_a_server_that_is_not_there(here: Path) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    arguments = ("schedule", "plan:scheduler", "--broker-url", nowhere)
    async with start_ltq(*arguments, cwd=here) as running:
        await running.err_line("schedules wait for the broker")
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0


async def test_a_worker_runs_its_schedules(redis_url: str, here: Path) -> None:
    arguments = ("run", "plan:worker", "--with-scheduler", "--log-level", "debug")
    async with start_ltq(*arguments, "--broker-url", redis_url, cwd=here) as running:
        await running.err_line("plan:tick second:")
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
    assert done.code == 0
    assert "worker plan has stopped" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("schedule", "plan:number"), "plan:number is not an ltq.Scheduler or ltq.Worker"),
        (("schedule", "plan:schedule"), "did you mean plan:scheduler?"),
        (("schedule", "plan:other"), "did you mean plan:empty?"),
        (("schedule", "list", "chores:nope"), "did you mean chores:mine?"),
        (("schedule", "list", "plan:number"), "plan:number is not an ltq.Scheduler or ltq.Worker"),
        (("schedule", "plan"), "'plan' is not of the form MODULE:NAME"),
        (("schedule", "plan:scheduler", "--broker-url", "ftp://x"), "no known scheme"),
        (("schedule", "plan:scheduler", "--log-format", "xml"), "'xml' is not one of"),
        (("schedule", "plan:scheduler", "--log-level", "loud"), "'loud' is not one of"),
        (("run", "plan:worker", "--with-scheduler", "--burst"), "cannot be combined"),
    ],
)
async def test_wrong_use_is_told_in_one_line(
    arguments: tuple[str, ...], told: str, here: Path
) -> None:
    done = await call_ltq(*arguments, cwd=here)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ltq: ")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


class TestList:
    async def test_it_shows_the_next_runs_in_order(self, here: Path) -> None:
        options = ("--count", "2", "--broker-url", "memory://plan")
        done = await call_ltq("schedule", "list", "plan:worker", *options, cwd=here)
        assert (done.code, done.err) == (0, "")
        assert "MODULE:SCHEDULER" not in done.out
        head, *rows = done.out.splitlines()
        assert re.split(r"  +", head) == [
            *("next run", "schedule", "expression", "zone", "task", "misfire"),
            *("last run", "from"),
        ]
        cells = [re.split(r"  +", row) for row in rows]
        assert [row[1] for row in cells] == ["second", "second", "night", "night"]
        assert cells[3][2:6] == ["30 2 * * *", "Europe/Berlin", "plan:tick", "skip"]
        assert cells[3][6:] == ["never", "code"]
        assert re.search(r" 02:30:00\+0[12]:00$", cells[2][0])

    async def test_as_json(self, here: Path) -> None:
        options = ("--json", "--broker-url", "memory://plan")
        done = await call_ltq("schedule", "list", "plan:scheduler", *options, cwd=here)
        (found,) = json.loads(done.out)
        (run,) = found.pop("next")
        assert datetime.fromisoformat(run).tzinfo is not None
        assert found.pop("name").startswith("plan:tick:")
        assert found == {
            "expression": "* * * * * *",
            "tz": "UTC",
            "task": "plan:tick",
            "misfire": "once",
            "last": None,
            "paused": False,
            "origin": "code",
        }

    async def test_it_needs_no_server(self, here: Path) -> None:
        nowhere = {"LTQ_BROKER_URL": "redis://127.0.0.1:1/0"}
        done = await call_ltq("schedule", "list", "plan:scheduler", cwd=here, env=nowhere)
        assert done.code == 0
        assert "plan:tick" in done.out
        assert done.err == (
            "ltq: warning: the broker does not answer: only what is declared in code is listed\n"
        )


class TestHelp:
    async def test_it_shows_the_options_of_a_run(self) -> None:
        done = await call_ltq("schedule", "--help")
        assert done.code == 0
        for option in ("--log-format", "--log-level", "--broker-url, --redis-url URL"):
            assert option in done.out
        usage = "Usage: ltq schedule MODULE:SCHEDULER [OPTIONS] | COMMAND ...\n"
        assert done.out.startswith(usage)
        for verb in ("list", "put", "pause", "resume", "trigger", "remove"):
            assert f"\n  {verb} " in done.out

    async def test_without_arguments_it_shows_its_help_and_fails(self) -> None:
        done = await call_ltq("schedule")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: ltq schedule ")
