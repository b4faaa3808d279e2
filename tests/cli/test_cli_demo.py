"""`ltq demo`: nothing but the install."""

import hashlib
import re
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from click.testing import CliRunner
from rich.console import Console

import ltq
from ltq.cli import main
from ltq.cli.demo._view import Report, print_report
from ltq.state import Status, TaskState
from tests.cli.calls import call_ltq
from tests.cli.processes import ltq_on_terminal, run_ltq

pytestmark = pytest.mark.slow


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Twelve files, of 1 to 12 bytes, in two folders."""
    (tmp_path / "sub").mkdir()
    for size in range(1, 13):
        folder = tmp_path / "sub" if size % 2 else tmp_path
        (folder / f"{size}.txt").write_bytes(b"x" * size)
    return tmp_path


async def test_the_files_of_a_directory(directory: Path) -> None:
    done = await call_ltq("demo", str(directory), "--workers", "3")
    assert (done.code, done.err) == (0, "")
    head, _, rest = done.out.partition("\n\n")
    table, _, total = rest.partition("\n\n")
    assert f"in {directory}, 3 at once" in head
    assert "12 of 12 files hashed" in head
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[0] for row in rows] == [str(size) for size in range(12, 2, -1)]
    assert rows[1] == ["11", "B", hashlib.sha256(b"x" * 11).hexdigest()[:16], "sub/11.txt"]
    assert total.startswith("12 files, 78 B, in ")
    assert "completed in try 2" in total


async def test_without_a_directory_it_takes_the_package_itself() -> None:
    done = await run_ltq("demo")
    assert (done.code, done.err) == (0, "")
    assert f"files in {Path(ltq.__file__).parent}, 8 at once" in done.out
    assert re.search(r"  \w+(/\w+)+\.[\w.-]+\n", done.out), "the largest files, within it"


async def test_it_says_what_to_do_next(directory: Path) -> None:
    done = await call_ltq("demo", str(directory))
    hint = done.out.partition("\nNext,")[2]
    assert "redis-server" in hint
    assert "ltq run jobs:worker" in hint


async def test_a_terminal_gets_bars(directory: Path) -> None:
    async with ltq_on_terminal("demo", str(directory)) as terminal:
        assert await terminal.end() == 0
    assert "walk     ━━━" in terminal.text
    assert "checksum ━━━" in terminal.text
    assert "12/12" in terminal.text


async def test_an_empty_directory_is_fine(tmp_path: Path) -> None:
    done = await call_ltq("demo", str(tmp_path))
    assert done.code == 0
    assert "0 files, 0 B" in done.out


async def test_a_directory_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    done = await call_ltq("demo", str(tmp_path / "nowhere"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ltq: ")
    assert "nowhere" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_a_failed_task(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: BinaryIO, name: str) -> object:
        if file.name.endswith("/12.txt"):
            raise PermissionError(13, "Permission denied")
        return hashlib.new(name, file.read())

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    result = CliRunner().invoke(main, ["demo", str(directory)])
    assert result.exit_code == 0
    failed = f"failed: {directory}/12.txt: PermissionError: [Errno 13] Permission denied"
    assert failed in result.stdout.splitlines()
    assert "\n11 files, 66 B, in " in result.stdout
    assert "; 1 failed" in result.stdout


async def test_what_cannot_be_named_or_followed_is_left_out(directory: Path) -> None:
    (directory / "link").symlink_to("/etc/hostname")
    (directory / "loop").symlink_to(directory)
    (directory / "bad\udcff").write_bytes(b"x")
    (directory / "\x1b[31mred").write_bytes(b"x" * 100)
    done = await call_ltq("demo", str(directory))
    assert done.code == 0
    assert f"failed: {directory}/bad\\xff: its name is not UTF-8" in done.out.splitlines()
    assert r"\x1b[31mred" in done.out
    assert "\x1b" not in done.out
    assert "13 files, 178 B" in done.out


async def test_ctrl_c_stops_worker_and_producer() -> None:
    async with ltq_on_terminal("demo", "/") as terminal:
        await terminal.until("walk     ━━━")
        terminal.interrupt()
        assert await terminal.end() == 130
    assert terminal.text.rstrip().endswith("ltq: stopped")


def state(**fields: Any) -> TaskState[int]:
    known = {"id": "a1", "task_name": "demo:stumble", "queue": "demo:stumble"}
    return TaskState(**{**known, "status": Status.FAILED, **fields})


def test_a_report_names_ten_failures_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = [f"/x/{number}: it is gone" for number in range(12)]
    report = Report("/x", [], failures, hashing=1.0, stumble=state())
    print_report(Console(width=100, color_system=None), report)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("failed: ")] == [
        *(f"failed: {failure}" for failure in failures[:10]),
        "failed: 2 more",
    ]
    assert "the task that fails on purpose ended as failed" in lines
