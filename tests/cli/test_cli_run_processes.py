"""`ltq run --processes`: child processes that are kept running."""

import os
import signal
from pathlib import Path

import pytest

from ltq.cli.run._supervisor import exit_text
from tests.cli import jobs
from tests.cli.calls import call_ltq
from tests.cli.processes import run_ltq, start_ltq
from tests.eventually import eventually

WORKER = "tests.cli.jobs:worker"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tasks")]


async def seen_pids(count: int) -> set[int]:
    """Return the pids of the processes that run tasks, once there are `count`."""
    pids: set[int] = set()

    async def are_enough() -> bool:
        handles = [await jobs.whoami.send() for _ in range(20)]
        for handle in handles:
            pid = int((await handle.result(timeout=10)).split()[0])
            if is_alive(pid):
                pids.add(pid)
        pids.intersection_update({pid for pid in pids if is_alive(pid)})
        return len(pids) >= count

    await eventually(are_enough, timeout=20, description=f"{count} processes")
    return pids


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_crashed_process_is_started_again(redis_url: str) -> None:
    async with start_ltq("run", WORKER, "--processes", "2", "--broker-url", redis_url) as running:
        before = await seen_pids(2)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        await running.err_line("was killed by SIGKILL: restarting in 1 s")
        after = await seen_pids(2)
        assert killed not in after
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0
    await eventually(lambda: not any(is_alive(pid) for pid in after))


@pytest.mark.parametrize(
    ("code", "text"),
    [(1, "exited with 1"), (-15, "was killed by SIGTERM"), (-40, "was killed by signal 40")],
)
def test_how_a_process_ended_in_words(code: int, text: str) -> None:
    assert exit_text(code) == text


async def test_no_process_outlives_the_supervisor(redis_url: str) -> None:
    async with start_ltq("run", WORKER, "--processes", "2", "--broker-url", redis_url) as running:
        pids = await seen_pids(2)
        running.process.kill()
        await eventually(lambda: not any(is_alive(pid) for pid in pids), timeout=20)


async def test_a_burst_ends_when_all_have_ended(redis_url: str) -> None:
    handles = [await jobs.add.send(number, 1) for number in range(20)]
    done = await run_ltq("run", WORKER, "--processes", "2", "--burst", "--broker-url", redis_url)
    assert done.code == 0
    assert [await handle.result(timeout=0) for handle in handles] == list(range(1, 21))


async def test_what_can_never_run_is_not_tried_again(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, ltq\n"
        "if os.environ.get('LTQ_SUPERVISED'):\n"
        "    raise ltq.ConfigurationError('not in a child')\n"
        "worker = ltq.Worker('mine')\n"
    )
    options = ("--processes", "2", "--broker-url", redis_url)
    done = await run_ltq("run", "mine:worker", *options, cwd=tmp_path)
    assert done.code == 2
    assert "not in a child (mine.py, line 3)" in done.err
    assert "restarting" not in done.err
    assert "can never run, so all stop: not in a child (mine.py, line 3)" in done.err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("1 / 0", "ZeroDivisionError"),
        ("del worker", "there is no 'worker' in module mine"),
        ("worker = 1", "mine:worker is not an ltq.Worker"),
        ("worker.middlewares.clear()", "declares max_tries, but"),
    ],
)
async def test_what_no_new_start_mends_ends_all(
    redis_url: str, tmp_path: Path, line: str, why: str
) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, ltq\n"
        "worker = ltq.Worker('mine')\n"
        "@worker.task(max_tries=2)\n"
        "def f() -> None: ...\n"
        f"if os.environ.get('LTQ_SUPERVISED'): {line}\n"
    )
    options = ("--processes", "2", "--broker-url", redis_url)
    done = await run_ltq("run", "mine:worker", *options, cwd=tmp_path)
    assert done.code in {1, 2}
    (told,) = [line for line in done.err.splitlines() if "can never run, so all stop" in line][:1]
    assert why in told
    assert "restarting" not in done.err


FAILS_AT_FIRST = """
import sys
from contextlib import asynccontextmanager
from pathlib import Path
import ltq

@asynccontextmanager
async def lifespan(worker):
    for number in (1, 2):
        if not Path(f"failed-{{number}}").exists():
            Path(f"failed-{{number}}").touch()
            {fail}
    yield

worker = ltq.Worker("mine", "memory://mine", lifespan=lifespan)

@worker.task
def f() -> None: ...
"""


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        ("raise OSError('not yet')", 1),
        ("raise ltq.ConfigurationError('not yet')", 1),
        ("sys.exit(1)", 1),
        ("sys.exit(2)", 2),
        ("import os; os._exit(2)", 2),
    ],
)
@pytest.mark.parametrize("option", [("--processes", "2"), ("--reload",)], ids=["2", "reload"])
async def test_what_fails_at_its_start_is_started_again(
    tmp_path: Path, option: tuple[str, ...], fail: str, code: int
) -> None:
    (tmp_path / "mine.py").write_text(FAILS_AT_FIRST.format(fail=fail))
    async with start_ltq("run", "mine:worker", *option, "--burst", cwd=tmp_path) as running:
        await running.err_line(f"exited with {code}: restarting in 1 s")
        done = await running.end()
    assert done.code == 0
    assert "can never run" not in done.err


async def test_the_pause_grows_while_it_fails(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FAILS_AT_FIRST.format(fail="sys.exit(2)"))
    async with start_ltq("run", "mine:worker", "--reload", "--burst", cwd=tmp_path) as running:
        for pause in (1, 2):
            await running.err_line(f"exited with 2: restarting in {pause} s")
        assert (await running.end()).code == 0


async def test_what_can_never_run_later_does_not_end_those_that_run(tmp_path: Path) -> None:
    """As when a wrong version is deployed below processes that run."""
    (tmp_path / "mine.py").write_text(
        "import os, ltq\n"
        "worker = ltq.Worker('mine', 'memory://mine')\n"
        "@worker.task\n"
        "def f() -> None: ...\n"
        "os.write(1, b'%d\\n' % os.getpid())\n"
    )
    async with start_ltq("run", "mine:worker", "--processes", "2", cwd=tmp_path) as running:
        await running.out_line()  # that of the supervisor
        pids = [int(await running.out_line()) for _ in range(2)]
        for _ in pids:
            await running.err_line("worker mine: 1 task")
        (tmp_path / "mine.py").write_text("1 / 0")
        os.kill(pids[0], signal.SIGKILL)
        for text in ("was killed by SIGKILL: restarting", "exited with 1: restarting in 2 s"):
            await running.err_line(text)
        assert is_alive(pids[1])
        running.process.send_signal(signal.SIGTERM)
        assert (await running.end()).code == 0


async def test_a_target_that_is_not_there_starts_no_process() -> None:
    done = await call_ltq("run", "nowhere:worker", "--processes", "2")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "nowhere" in done.err


async def test_no_redis_at_the_start_ends_it(unused_tcp_port: int) -> None:
    url = f"redis://127.0.0.1:{unused_tcp_port}"
    options = ("--processes", "2", "--wait-for-broker", "0")
    done = await run_ltq("run", WORKER, *options, "--broker-url", url)
    assert done.code == 1
    assert f"127.0.0.1:{unused_tcp_port}" in done.err
