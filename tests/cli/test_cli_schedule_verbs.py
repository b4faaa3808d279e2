"""`ltq schedule put`, `pause`, `trigger` and so on: schedules of a broker, from a shell."""

import json
import signal
from pathlib import Path

import pytest

from ltq.broker import Broker
from ltq.testing.conformance._schedules.kept import make_schedule
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow

MODULE = """
import ltq

worker = ltq.Worker("plan")
scheduler = ltq.Scheduler()


@worker.task
async def report(kind: str, *, depth: int = 1) -> None: ...


@worker.cron("30 2 * * *", name="night")
@worker.task
async def tidy() -> None: ...
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "plan.py").write_text(MODULE)
    return tmp_path


class Shell:
    """`ltq schedule` in a directory, with a broker."""

    def __init__(self, here: Path, url: str) -> None:
        self.here = here
        self.url = url

    async def __call__(self, *arguments: str) -> Done:
        options = ("--broker-url", self.url)
        return await call_ltq("schedule", *arguments, *options, cwd=self.here)

    async def listed(self, *arguments: str) -> list[dict[str, object]]:
        done = await self("list", *arguments, "--json")
        assert (done.code, done.err) == (0, "")
        found: list[dict[str, object]] = json.loads(done.out)
        return found


@pytest.fixture
def shell(here: Path, redis_url: str) -> Shell:
    return Shell(here, redis_url)


async def waiting(broker: Broker, queue: str = "plan:report") -> int:
    (stats,) = await broker.stats([queue])
    return stats.pending


async def test_its_life(shell: Shell, broker: Broker) -> None:
    arguments = ("--args", '["daily"]', "--kwargs", '{"depth": 2}', "--tz", "Europe/Berlin")
    done = await shell("put", "nightly", "0 3 * * *", "plan:worker.report", *arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("schedule nightly is kept, next run at 20")
    (found,) = await shell.listed()
    runs = found.pop("next")
    assert isinstance(runs, list)
    assert [str(run)[10:19] for run in runs] == ["T03:00:00"]
    assert found == {
        "name": "nightly",
        "expression": "0 3 * * *",
        "tz": "Europe/Berlin",
        "task": "plan:report",
        "misfire": "once",
        "last": None,
        "paused": False,
        "origin": "put",
    }
    assert (await shell("pause", "nightly")).out == "schedule nightly is paused\n"
    (found,) = await shell.listed()
    assert (found["paused"], found["next"]) == (True, [])
    assert "\npaused    nightly   0 3 * * *  " in (await shell("list")).out
    done = await shell("trigger", "nightly", "--id", "by-hand")
    assert (done.code, done.out) == (0, "by-hand\n")
    assert (await shell("trigger", "nightly", "--id", "by-hand")).code == 0
    assert await broker.body("plan:report", "by-hand") == b'[["daily"],{"depth":2}]'
    assert await waiting(broker) == 1
    done = await shell("resume", "nightly", "--json")
    assert json.loads(done.out) == {"name": "nightly", "paused": False}
    done = await shell("put", "nightly", "0 4 * * *", "plan:worker.report", "--args", '["x"]')
    assert done.code == 0
    assert [one["expression"] for one in await shell.listed()] == ["0 4 * * *"]
    assert (await shell("remove", "nightly")).out == "schedule nightly is removed\n"
    shown = (await shell("list")).out
    assert shown.startswith("no schedules\n")
    assert shown.endswith("is listed by `ltq schedule list MODULE:SCHEDULER`\n")


async def test_what_code_declares_is_listed_beside_and_can_be_steered(
    shell: Shell, broker: Broker
) -> None:
    await shell("put", "daily", "@daily", "plan:worker.report", "--args", '["a"]')
    names = {one["name"]: one["origin"] for one in await shell.listed("plan:worker")}
    assert names == {"daily": "put", "night": "code"}
    assert (await shell("pause", "night", "plan:worker")).code == 0
    assert {one["name"] for one in await shell.listed() if one["paused"]} == {"night"}
    done = await shell("trigger", "night")
    assert done.code == 2
    assert "is declared in code that is not here" in done.err
    assert (await shell("trigger", "night", "plan:worker")).code == 0
    assert await waiting(broker, "plan:tidy") == 1
    assert (await shell("resume", "night")).code == 0
    done = await shell("put", "night", "@daily", "plan:worker.tidy")
    assert done.code == 0  # no scheduler runs that declares it


@pytest.mark.parametrize("target", ["plan:scheduler", "plan:worker"])
async def test_any_scheduler_that_runs_takes_it_on(
    shell: Shell, broker: Broker, target: str
) -> None:
    async with start_ltq("schedule", target, "--broker-url", shell.url, cwd=shell.here) as running:
        await running.err_line("those that the broker keeps")
        await shell("put", "tick", "* * * * * *", "plan:worker.report", "--args", '["a"]')

        async def fired() -> bool:
            return await waiting(broker) > 1

        await eventually(fired, 10.0)
        if target == "plan:worker":
            done = await shell("put", "night", "@daily", "plan:worker.tidy")
            assert (done.code, done.out) == (2, "")
            assert "schedule 'night' is declared in code" in done.err
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0


@pytest.mark.parametrize("verb", ["pause", "resume", "trigger", "remove"])
async def test_an_unknown_name_is_told(shell: Shell, verb: str) -> None:
    done = await shell(verb, "nightli")
    hint = "name MODULE:SCHEDULER, too, for one that is only declared in code"
    if verb == "remove":  # it takes none
        hint = "one that is only declared in code is removed there"
    known = "`ltq schedule list` shows those that the broker knows"
    assert done == Done(1, "", f"ltq: there is no schedule 'nightli': {known}; {hint}\n")
    await shell("put", "nightly", "@daily", "plan:worker.report", "--args", '["a"]')
    done = await shell(verb, "nightli")
    assert done == Done(1, "", "ltq: there is no schedule 'nightli': did you mean nightly?\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("put", "a b", "@daily", "plan:worker.report"), "schedule name 'a b' is not allowed"),
        (("put", "x", "@dail", "plan:worker.report"), "cron expression '@dail' is not allowed"),
        (("put", "x", "@daily", "plan:worker.report", "--tz", "X/Y"), "tz='X/Y' is not allowed"),
        (("put", "x", "@daily", "plan:worker.report", "--misfire", "no"), "'no' is not one of"),
        (("put", "x", "@daily", "plan:worker.report", "--args", "[1"), "'[1' is not JSON"),
        (("put", "x", "@daily", "plan:worker.report", "--args", "[1]"), "'kind'"),
        (("put", "x", "@daily", "plan:worker.none"), "has no task 'none'"),
        (("put", "x", "@daily"), "missing argument"),
        (("pause",), "missing argument"),
        (("trigger", "x", "--id", "a b"), "task id 'a b' is not allowed"),
    ],
)
async def test_wrong_use_is_told_in_one_line(
    shell: Shell, arguments: tuple[str, ...], told: str
) -> None:
    if arguments[0] == "put" and "--args" not in arguments:
        arguments = (*arguments, "--args", '["a"]')
    done = await shell(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ltq: ")
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert await shell.listed() == []


async def test_one_that_no_scheduler_of_this_version_runs_is_listed(
    shell: Shell, broker: Broker
) -> None:
    await broker.put_schedule(make_schedule("odd", expr="@sometimes"), 1)
    (found,) = await shell.listed()
    assert (found["name"], found["expression"], found["next"]) == ("odd", "@sometimes", [])
    assert "@sometimes" in (await shell("list")).out


async def test_what_is_put_is_told_to_programs(shell: Shell) -> None:
    put = ("put", "nightly", "0 3 * * *", "plan:worker.report", "--args", '["a"]', "--json")
    told = json.loads((await shell(*put)).out)
    assert told["name"] == "nightly"
    assert told["next"].endswith("T03:00:00+00:00")
