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
