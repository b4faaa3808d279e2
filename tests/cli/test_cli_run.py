"""`ltq run`: a worker in a process of its own."""

import asyncio
import importlib.util
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from devtools.servers import free_port
from ltq.cli.run._asked import child_options
from ltq.cli.run._interpreter import own_command
from ltq.state import Status
from ltq.task import Task
from tests.cli import jobs
from tests.cli.calls import call_ltq
from tests.cli.processes import run_ltq, start_ltq

WORKER = "tests.cli.jobs:worker"
HASTY = "tests.cli.jobs:hasty"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tasks")]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that nobody writes to yet."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def test_a_burst_runs_what_is_there_and_exits_0(redis_url: str) -> None:
    handle = await jobs.add.send(1, 2)
    done = await run_ltq("run", WORKER, "--burst", "--broker-url", redis_url)
    assert done.code == 0
    assert await handle.result(timeout=0) == 3


async def test_it_logs_what_completes_if_that_is_wanted(redis_url: str) -> None:
    command = ("run", WORKER, "--burst", "--broker-url", redis_url)
    await jobs.add.send(1, 2)
    assert " completed in " not in (await run_ltq(*command)).err
    first, second = await jobs.add.send(1, 2), await jobs.add.send(3, 4)
    done = await run_ltq(*command, "--log-completed", "--log-format", "json")
    lines = [json.loads(line) for line in done.err.splitlines() if " completed in " in line]
    assert {line["id"] for line in lines} == {first.id, second.id}
    assert {(line["level"], line["task"], line["attempt"]) for line in lines} == {
        ("info", "jobs:add", 1)
    }


async def test_it_says_what_it_runs_and_where(redis_url: str) -> None:
    done = await run_ltq("run", WORKER, "--burst", "--concurrency", "7", "--redis-url", redis_url)
    (line,) = [line for line in done.err.splitlines() if "concurrency" in line]
    names = ", ".join(f"jobs:{name}" for name in ("add", "whoami", "read", "tell", "buy"))
    assert f"worker jobs: 5 tasks ({names}), concurrency 7" in line
    assert line.endswith(f"broker {redis_url}")
    assert done.out == ""


async def test_it_uses_uvloop_where_it_is_installed(redis_url: str) -> None:
    handle = await jobs.whoami.send()
    await run_ltq("run", WORKER, "--burst", "--broker-url", redis_url)
    installed = importlib.util.find_spec("uvloop") is not None
    assert ("uvloop" in await handle.result(timeout=0)) == installed


async def test_it_does_without_uvloop(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    handle = await jobs.whoami.send()
    done = await run_ltq("run", WORKER, "--burst", "--broker-url", redis_url, cwd=tmp_path)
    assert done.code == 0
    assert "asyncio" in await handle.result(timeout=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("uvloop", ["", "raise ImportError"], ids=["any loop", "asyncio"])
async def test_a_signal_lets_running_tasks_end(
    redis_url: str, tmp_path: Path, pipe: Path, number: signal.Signals, uvloop: str
) -> None:
    if uvloop:
        (tmp_path / "uvloop.py").write_text(uvloop)
    handle = await jobs.read.send(str(pipe))
    arguments = ("run", WORKER, "--log-level", "debug", "--broker-url", redis_url)
    async with start_ltq(*arguments, cwd=tmp_path) as running:
        await running.err_line(f"{handle.id} begins")
        running.process.send_signal(number)
        await running.err_line("waiting for 1 running tasks")
        await asyncio.to_thread(pipe.write_text, "written")
        done = await running.end()
    assert done.code == 0
    assert "worker jobs has stopped" in done.err
    assert await handle.result(timeout=0) == "written"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_before_the_broker_has_answered_stops_it(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        async with start_ltq("run", WORKER, "--broker-url", url) as running:
            await running.err_line("concurrency")
            running.process.send_signal(number)
            done = await running.end()
    assert done.code == 0
    assert "worker jobs has stopped" in done.err


@pytest.mark.parametrize("task", [jobs.hang, jobs.hang_in_thread])
async def test_it_does_not_wait_for_threads_of_requeued_tasks(
    redis_url: str, pipe: Path, task: Task[[str], str]
) -> None:
    handle = await task.send(str(pipe))
    arguments = ("run", HASTY, "--log-level", "debug", "--broker-url", redis_url)
    async with start_ltq(*arguments) as running:
        await running.err_line(f"{handle.id} begins")
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
    assert done.code == 0
    assert "exiting although 1 threads still run" in done.err
    state = await handle.state()
    assert state.status is Status.PENDING
    assert (state.dequeue_count, state.requeue_count) == (1, 1)


async def test_a_second_signal_requeues_at_once(redis_url: str, pipe: Path) -> None:
    handle = await jobs.read.send(str(pipe))
    arguments = ("run", WORKER, "--log-level", "debug", "--broker-url", redis_url)
    async with start_ltq(*arguments) as running:
        await running.err_line(f"{handle.id} begins")
        running.process.send_signal(signal.SIGTERM)
        await running.err_line("waiting for 1 running tasks")
        running.process.send_signal(signal.SIGTERM)
        done = await running.end()
    assert done.code == 0
    assert (await handle.state()).status is Status.PENDING


async def test_the_environment_names_the_broker_for_workers_that_name_none(
    redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "plain.py").write_text(
        "import ltq\nworker = ltq.Worker('plain')\n@worker.task\ndef f() -> None: ...\n"
    )
    env = {"LTQ_BROKER_URL": redis_url}
    done = await run_ltq("run", "plain:worker", "--burst", cwd=tmp_path, env=env)
    assert done.code == 0
    assert f"worker plain: 1 task (plain:f), concurrency 100, broker {redis_url}" in done.err


async def test_the_option_is_in_the_environment_of_the_module(
    redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "plain.py").write_text(
        "import os, ltq\nurl = os.environ['LTQ_BROKER_URL']\n"
        "worker = ltq.Worker(url.partition('://')[0])\n@worker.task\ndef f() -> None: ...\n"
    )
    done = await run_ltq("run", "plain:worker", "--burst", "--broker-url", redis_url, cwd=tmp_path)
    assert "worker redis: 1 task" in done.err


async def test_a_broker_of_this_process_is_warned_of() -> None:
    done = await run_ltq("run", WORKER, "--burst")
    assert done.code == 0
    (warning,) = [line for line in done.err.splitlines() if "WARNING" in line]
    assert "no other process can reach it" in warning


async def test_the_log_level_holds() -> None:
    done = await run_ltq("run", WORKER, "--burst", "--log-level", "ERROR")
    assert (done.code, done.out, done.err) == (0, "", "")


async def test_without_redis_and_patience_it_ends_within_5_seconds_and_says_where_it_looked() -> (
    None
):
    port = free_port()
    url = f"redis://me:swordfish@127.0.0.1:{port}/0"
    command = ("run", WORKER, "--wait-for-broker", "0", "--broker-url", url)
    async with start_ltq(*command) as running:
        started = await running.err_line("concurrency")
        async with asyncio.timeout(5):
            done = await running.end()
    assert done.code == 1
    assert done.err.startswith("ltq: ")
    assert len(done.err.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.err
    assert "swordfish" not in started + done.err


async def test_a_wrong_set_up_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "import ltq\nworker = ltq.Worker('w', broker_url='memory://w', middlewares=[])\n"
        "@worker.task(max_tries=3)\ndef f() -> None: ...\n"
    )
    done = await call_ltq("run", "wrong:worker", "--log-level", "error", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("ltq: task 'w:f' declares max_tries")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["run", "jobs:worker"], ["run", "jobs:worker", "--processes", "1"]),
        (["run", "--", "jobs:worker"], ["run", "--processes", "1"]),
    ],
)
def test_what_each_process_is_told_comes_before_the_end_of_options(
    monkeypatch: pytest.MonkeyPatch, given: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ltq", *given])
    command = own_command(*child_options(2))[3:]
    assert command[: len(expected)] == expected
    assert command[-2:] == ["--", "jobs:worker"] or "--" not in given
