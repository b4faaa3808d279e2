"""`ltq run --reload`: the worker again when a file has changed."""

import signal
from pathlib import Path

from ltq.cli.run._reload import changed, scan
from tests.cli.calls import call_ltq
from tests.cli.processes import run_ltq, start_ltq

MODULE = """
import ltq
worker = ltq.Worker({name!r}, broker_url="memory://reload")
@worker.task
def f() -> None: ...
"""


async def test_a_change_starts_it_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MODULE.format(name="first"))
    async with start_ltq("run", "mine:worker", "--reload", cwd=tmp_path) as running:
        await running.err_line("worker first: 1 task")
        file.write_text(MODULE.format(name="second"))
        await running.err_line("mine.py changed: restarting")
        await running.err_line("worker first has stopped")
        await running.err_line("worker second: 1 task")
        running.process.send_signal(signal.SIGTERM)
        await running.err_line("worker second has stopped")
        assert (await running.end()).code == 0


async def test_a_wrong_file_waits_for_the_next_change(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def f(:\n")
    async with start_ltq("run", "mine:worker", "--reload", cwd=tmp_path) as running:
        await running.err_line("mine cannot be imported: SyntaxError")
        await running.err_line("worker exited with 1: waiting for a change")
        file.write_text(MODULE.format(name="right"))
        await running.err_line("worker right: 1 task")
        running.process.send_signal(signal.SIGINT)
        done = await running.end()
    assert done.code == 0
    assert "Traceback" not in done.err


async def test_a_burst_ends_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE.format(name="short"))
    done = await run_ltq("run", "mine:worker", "--reload", "--burst", cwd=tmp_path)
    assert done.code == 0


async def test_options_may_end_before_the_worker(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE.format(name="short"))
    done = await run_ltq("run", "--reload", "--burst", "--", "mine:worker", cwd=tmp_path)
    assert (done.code, "worker short has stopped" in done.err) == (0, True)


async def test_it_is_for_one_process(tmp_path: Path) -> None:
    done = await call_ltq("run", "mine:worker", "--reload", "--processes", "2", cwd=tmp_path)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_what_has_changed(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "sub/c.py", "d.txt", ".git/e.py", "venv/f.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    before = scan(tmp_path)
    assert sorted(before) == [str(tmp_path / name) for name in ("a.py", "b.py", "sub/c.py")]
    (tmp_path / "a.py").unlink()
    (tmp_path / "b.py").write_text("other")
    (tmp_path / "g.py").touch()
    names = [str(tmp_path / name) for name in ("a.py", "b.py", "g.py")]
    assert changed(before, scan(tmp_path)) == names
