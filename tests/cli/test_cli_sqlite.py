"""Commands on a SQLite file: by its relative path, while workers run, and if it cannot be used."""

import json
import re
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.cli.calls import call_ltq
from tests.cli.processes import Done, Running, start_ltq
from tests.eventually import eventually

URL = "sqlite:///jobs.db"

JOBS = f"""
import ltq

worker = ltq.Worker("jobs", broker_url="{URL}")


@worker.task
async def hello(name: str) -> str:
    return f"hello {{name}}"


@worker.task
async def fail() -> None:
    raise ValueError("on purpose")


@worker.cron("* * * * * *")
@worker.task
async def tick() -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", [("stats",), ("workers",), ("top",), ("size", "shop:pack")])
@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("notes.txt", "/notes.txt is damaged or no database of LTQ"),
        ("missing/jobs.db", "/missing/jobs.db cannot be opened: make the folder"),
        ("folder", "/folder is a folder: name a file in the broker URL"),
    ],
)
async def test_it_is_told_in_one_line(
    folder: Path, command: tuple[str, ...], file: str, says: str
) -> None:
    done = await call_ltq(*command, "--broker-url", f"sqlite:///{file}", cwd=folder)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert says in done.err
    assert (folder / "notes.txt").read_text() == "hello"
    assert not (folder / "missing").exists()


@pytest.mark.parametrize("command", [("stats",), ("state", "a"), ("top", "--json"), ("doctor",)])
async def test_a_file_that_a_command_has_made_is_told_with_its_path(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    warning = f"ltq: warning: sqlite:///{tmp_path}/jobs.db was not there: it is new"
    first = await call_ltq(*command, "--broker-url", URL, cwd=tmp_path)
    assert warning in first.err.splitlines()
    again = await call_ltq(*command, "--broker-url", URL, cwd=tmp_path)
    assert warning not in again.err
    assert again.code == first.code


@pytest.mark.parametrize(
    "command",
    [("send", "jobs:worker.hello"), ("schedule", "put", "daily", "0 4 * * *", "jobs:worker.hello")],
)
async def test_so_is_one_that_a_worker_names(tmp_path: Path, command: tuple[str, ...]) -> None:
    code = 'import ltq\nworker = ltq.Worker("jobs", broker_url="sqlite:///jobs.db")\n'
    (tmp_path / "jobs.py").write_text(f"{code}@worker.task\nasync def hello() -> None: ...\n")
    warning = f"ltq: warning: sqlite:///{tmp_path}/jobs.db was not there: it is new\n"
    assert (await call_ltq(*command, cwd=tmp_path)).err == warning
    assert (await call_ltq(*command, cwd=tmp_path)).err == ""


@pytest.mark.slow
class TestWhileWorkersRun:
    """Two processes with the scheduler, and every command in the folder of the file."""

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        (tmp_path / "jobs.py").write_text(JOBS)
        return tmp_path

    @pytest.fixture
    async def running(self, home: Path) -> AsyncIterator[Running]:
        command = ("run", "jobs:worker", "--processes", "2", "--with-scheduler")
        async with start_ltq(*command, cwd=home) as running:
            for _ in range(2):
                await running.err_line(f"broker sqlite:///{home}/jobs.db")
            yield running
            running.process.send_signal(signal.SIGTERM)
            done = await running.end()
            assert (done.code, "Warning" in done.err) == (0, False), done.err  # nothing left open

    async def test_each_command_finds_what_it_is_about(self, home: Path, running: Running) -> None:
        async def ltq(*words: str) -> Done:
            return await call_ltq(*words, "--broker-url", URL, cwd=home)

        async def shows(*words: str, text: str) -> bool:
            return text in (await ltq(*words)).out

        sent = await ltq("send", "jobs:worker.hello", "--args", '["you"]', "--wait")
        assert (sent.code, sent.out) == (0, '"hello you"\n')
        failed = await ltq("send", "jobs:worker.fail", "--wait")
        assert failed.code == 1
        (dead,) = json.loads((await ltq("dead", "list", "--json")).out)
        task_id = dead["id"]

        async def both_live() -> bool:
            return len(json.loads((await ltq("workers", "--json")).out)) == 2

        await eventually(both_live, 20, "two workers")
        assert "jobs:tick" in (await ltq("schedule", "list", "jobs:worker")).out
        await eventually(partial(shows, "tasks", "jobs:tick", text="completed"), 20, "a slot")
        assert re.search(r"jobs:hello +", (await ltq("stats")).out)
        assert "jobs:tick" in (await ltq("top")).out
        assert "on purpose" in (await ltq("state", task_id)).out
        assert "on purpose" in (await ltq("dead", "show", task_id)).out
        assert (await ltq("dead", "retry", task_id)).code == 0
        watched = await ltq("watch", task_id, "--timeout", "20")
        assert "on purpose" in watched.err
        assert (await ltq("rerun", task_id)).code == 0
        assert (await ltq("history", "jobs:hello")).code == 0
        assert (await ltq("pause", "jobs:hello")).code == 0
        waiting = (await ltq("send", "jobs:worker.hello", "--args", '["me"]')).out.strip()
        assert (await ltq("size", "jobs:hello")).out == "1\n"
        assert (await ltq("resume", "jobs:hello")).code == 0
        assert "hello me" in (await ltq("watch", waiting, "--timeout", "20")).out
        assert (await ltq("repair")).code == 0
        doctor = await ltq("doctor")
        assert doctor.code == 0
        assert f"store: {home}/jobs.db is on this machine" in doctor.out
        assert (await ltq("check", "--alive")).code == 0
