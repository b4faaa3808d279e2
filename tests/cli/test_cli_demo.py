"""`ltq demo`: nothing but the install."""

import hashlib
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from rich.console import Console

import ltq
from ltq.cli.demo._view import Report, print_report
from ltq.cli.demo.checksums import Survey
from ltq.cli.run import _interpreter
from ltq.state import Status, TaskState
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal, run_ltq, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Twelve files, of 1 to 12 bytes, in two folders."""
    (tmp_path / "sub").mkdir()
    for size in range(1, 13):
        folder = tmp_path / "sub" if size % 2 else tmp_path
        (folder / f"{size}.txt").write_bytes(b"x" * size)
    return tmp_path


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files; it has a name that a URL must quote."""
    return tmp_path_factory.mktemp("of 100% + more")


def quick(directory: Path) -> tuple[str, ...]:
    return ("demo", str(directory), "--for", "0")


async def test_the_files_of_a_directory(directory: Path) -> None:
    done = await call_ltq(*quick(directory))
    assert (done.code, done.err) == (0, "")
    head, _, rest = done.out.partition("hashed\n\n")
    table, _, total = rest.partition("\n\n")
    assert head.startswith(f"computing checksums of the files in {directory}\n")
    assert "12 of 12 files" in done.out
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[0] for row in rows] == [str(size) for size in range(12, 7, -1)]
    assert rows[1] == ["11", "B", hashlib.sha256(b"x" * 11).hexdigest()[:16], "sub/11.txt"]
    assert total.startswith("12 files, 78 B, in ")
    assert "completed in try 2" in total


async def test_without_a_directory_it_takes_the_package_itself() -> None:
    done = await run_ltq("demo", "--for", "2s")
    assert (done.code, done.err) == (0, "")
    assert f"files in {Path(ltq.__file__).parent}\n" in done.out
    assert re.search(r"  \w+(/\w+)+\.[\w.-]+\n", done.out), "the largest files, within it"
    assert ", hashed by 2 processes" in done.out


async def test_tasks_are_spread_over_a_time(directory: Path) -> None:
    done = await call_ltq("demo", str(directory), "--for", "3s")
    seconds = re.search(r"12 files, 78 B, in ([\d.]+) s", done.out)
    assert seconds is not None, done.out
    assert float(seconds[1]) > 2.7  # eleven pauses between twelve tasks


async def test_it_says_what_to_do_next(directory: Path) -> None:
    done = await call_ltq(*quick(directory))
    hint = done.out.partition("\nNext,")[2]
    assert "sqlite:///jobs.db" in hint
    assert "ltq run jobs:worker" in hint


async def test_what_it_says_to_do_next_works(directory: Path, tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    hint = (await call_ltq(*quick(directory))).out.partition("\nNext,")[2].splitlines()
    code = [line[21:] for line in hint if line[21:] and line.startswith(("  1.", " " * 21))]
    (home / "jobs.py").write_text("\n".join(code))
    assert "ltq send jobs:worker.hello --args '[\"you\"]' --wait" in "\n".join(hint)
    async with start_ltq("run", "jobs:worker", cwd=home) as running:
        await running.err_line(f"broker sqlite:///{home}/jobs.db")
        sent = await run_ltq("send", "jobs:worker.hello", "--args", '["you"]', "--wait", cwd=home)
        assert (sent.code, sent.out) == (0, '"hello you"\n')
        running.process.send_signal(signal.SIGTERM)
        await running.end()


async def look(command: list[str], containing: str) -> bool:
    done: Done = await run_ltq(*command[1:])
    return done.code == 0 and containing in done.out


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def processes_with(text: str) -> list[str]:
    """The command lines of processes that contain a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        found += [line] if text in line else []
    return found


async def test_a_second_terminal_can_look(directory: Path, temporary: Path) -> None:
    env = {"TMPDIR": str(temporary)}
    async with start_ltq("demo", str(directory), "--for", "1h", env=env) as running:
        commands: list[list[str]] = []
        while len(commands) < 3:
            line = (await running.out_line()).split()
            commands += [line] if line[:1] == ["ltq"] else []
        top, watch, stats = commands
        assert watch[1:3] == ["watch", "survey"]
        for command, text in ((stats, "demo:checksum"), (top, "demo:survey")):
            await eventually(partial(look, command, text), 20, text)
        watched = await run_ltq(*watch[1:], "--timeout", "1")
        assert "working" in watched.out
        assert len(processes_with(str(watch[-1]))) >= 2
        running.process.send_signal(signal.SIGINT)
        done = await running.end()
    assert (done.code, done.err) == (130, "ltq: stopped\n")
    assert processes_with(str(watch[-1])) == []
    assert entries(temporary) == []


async def test_a_terminal_gets_bars(directory: Path) -> None:
    async with ltq_on_terminal(*quick(directory)) as terminal:
        assert await terminal.end() == 0
    assert "walk     ━━━" in terminal.text
    assert "checksum ━━━" in terminal.text
    assert "12/12" in terminal.text


async def test_an_empty_directory_is_fine(tmp_path: Path) -> None:
    done = await call_ltq("demo", str(tmp_path))  # nothing is waited for
    assert done.code == 0
    assert "0 files, 0 B" in done.out


async def test_a_directory_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    done = await call_ltq("demo", str(tmp_path / "nowhere"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ltq: ")
    assert "nowhere" in done.err
    assert len(done.err.splitlines()) == 1


async def test_a_file_that_cannot_be_read_is_a_failed_task(directory: Path) -> None:
    (directory / "sub" / "gone.txt").write_bytes(b"x" * 100)
    async with start_ltq("demo", str(directory), "--for", "4s") as running:
        while " of 13" not in (line := await running.out_line()):
            assert line, "ended early"
        (directory / "sub" / "gone.txt").unlink()  # it is the last one
        done = await running.end()
    assert (done.code, done.err) == (0, "")
    failed = f"failed: {directory}/sub/gone.txt: FileNotFoundError: [Errno 2] No such file"
    assert failed in done.out
    assert "\n12 files, 78 B, in " in done.out
    assert "; 1 failed" in done.out


async def test_what_cannot_be_named_or_followed_is_left_out(directory: Path) -> None:
    (directory / "link").symlink_to("/etc/hostname")
    (directory / "loop").symlink_to(directory)
    (directory / "bad\udcff").write_bytes(b"x")
    (directory / "\x1b[31mred").write_bytes(b"x" * 100)
    done = await call_ltq(*quick(directory))
    assert done.code == 0
    assert f"failed: {directory}/bad\\xff: its name is not UTF-8" in done.out.splitlines()
    assert r"\x1b[31mred" in done.out
    assert "\x1b" not in done.out
    assert "13 files, 178 B" in done.out


async def test_ctrl_c_ends_processes_and_removes_the_folder(temporary: Path) -> None:
    async with ltq_on_terminal("demo", "/", env={"TMPDIR": str(temporary)}) as terminal:
        await terminal.until("walk     ━━━")
        assert len(entries(temporary)) == 1
        terminal.interrupt()
        assert await terminal.end() == 130
    assert terminal.text.rstrip().endswith("ltq: stopped")
    assert processes_with(temporary.name) == []
    assert entries(temporary) == []


async def test_workers_that_cannot_run_end_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "import os; os.write(0, b'hno module'); raise SystemExit(2)"
    monkeypatch.setattr(_interpreter, "_of_this_process", lambda _: ["-c", broken])
    done = await call_ltq(*quick(directory))
    assert (done.code, done.err) == (1, "ltq: the worker processes have ended\n")


async def test_where_no_process_can_be_stopped_the_worker_runs_here(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: BinaryIO, name: str) -> object:
        if file.name.endswith("/12.txt"):
            raise PermissionError(13, "Permission denied")
        return hashlib.new(name, file.read())

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("ltq.cli.demo.command.Supervisor", None)
    done = await call_ltq(*quick(directory))
    assert (done.code, done.err) == (0, "")
    failed = f"failed: {directory}/12.txt: PermissionError: [Errno 13] Permission denied"
    assert failed in done.out.splitlines()
    assert "11 files, 66 B, in " in done.out


def state(**fields: Any) -> TaskState[int]:
    known = {"id": "a1", "task_name": "demo:stumble", "queue": "demo:stumble"}
    return TaskState(**{**known, "status": Status.FAILED, **fields})


def test_a_report_names_ten_failures_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = [f"/x/{number}: it is gone" for number in range(10)]
    survey = Survey(12, 0, 0, [], 12, failures, processes=0, seconds=1.0)
    report = Report("/x", survey, stumble=state())
    print_report(Console(width=100, color_system=None), report)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("failed: ")] == [
        *(f"failed: {failure}" for failure in failures),
        "failed: 2 more",
    ]
    assert "the task that fails on purpose ended as failed" in lines
