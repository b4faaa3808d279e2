"""The pytest plugin, and the page that shows it: both run as a user's tests would."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs" / "testing.md").read_text())

IS_INSTALLED = any(point.name == "ltq" for point in entry_points(group="pytest11"))
PLUGIN = () if IS_INSTALLED else ("-p", "ltq.testing.plugin")
"""What pytest has to be told where LTQ is only a checkout."""

JOBS = """
import asyncio
import pytest
import ltq
from datetime import UTC, datetime
from ltq.testing import Box, Clock, FlakyBroker

worker = ltq.Worker("shop", broker_url="redis://localhost:1")
ran = []

@worker.cron("0 3 * * *")
@worker.task
async def note():
    ran.append(1)
"""


def python(*arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python as in a project that has LTQ installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def run_tests(code: str, directory: Path, *options: str) -> str:
    """Run a module of tests; what pytest says."""
    (directory / "test_user.py").write_text(code)
    strict = ("-W", "error", "--strict-markers", "-q", "-p", "no:randomly")
    done = python("-m", "pytest", *PLUGIN, *strict, *options, "test_user.py", directory=directory)
    return done.stdout + done.stderr


def asyncio_mode(directory: Path, scope: str = "function") -> None:
    """Let pytest-asyncio run the tests that are coroutines."""
    (directory / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        f"asyncio_default_test_loop_scope = {scope}\n"
    )


class TestPage:
    @pytest.mark.parametrize("number", range(len(BLOCKS)))
    def test_its_blocks_run(self, tmp_path: Path, number: int) -> None:
        block = BLOCKS[number]
        if "# test_" in block.partition("\n")[0]:
            asyncio_mode(tmp_path)
            assert re.search(r"^3 passed", run_tests(block, tmp_path), re.MULTILINE)
        else:
            done = python("-W", "error", "-c", block, directory=tmp_path)
            assert done.returncode == 0, done.stderr


class TestFixtures:
    def test_the_marker_says_what_is_under_test(self, tmp_path: Path) -> None:
        asyncio_mode(tmp_path)
        said = run_tests(
            JOBS
            + """
pytestmark = pytest.mark.ltq(worker, with_scheduler=True)

@pytest.mark.ltq(start="2030-01-01T02:00:00Z")
async def test_a(ltq_box: Box, ltq_clock: Clock, ltq_broker: FlakyBroker):
    assert worker.broker is ltq_box.broker is ltq_broker
    assert ltq_box.clock is ltq_clock
    await ltq_clock.advance(minutes=59)
    assert ran == []
    await ltq_clock.advance_to(datetime(2030, 1, 1, 3, tzinfo=UTC))
    assert ran == [1]

def test_b():
    assert worker.broker.url == "redis://localhost:1"
""",
            tmp_path,
        )
        assert "2 passed" in said, said

    @pytest.mark.parametrize("scope", ["function", "module", "session"])
    def test_tests_may_share_an_event_loop_or_not(self, tmp_path: Path, scope: str) -> None:
        asyncio_mode(tmp_path, scope)
        said = run_tests(
            JOBS
            + """
@pytest.fixture
def ltq_targets():
    return [worker]

@worker.task
async def long():
    await asyncio.sleep(3600)  # the task's own time

@pytest.mark.parametrize("_", range(3))
async def test_what_runs_at_the_end_of_one_does_not_hurt_the_next(ltq_box, _):
    await long.send()
    await note.send()
    states = await ltq_box.drain()
    assert sorted(state.status for state in states) == ["completed", "working"]
    await ltq_box.clock.advance(5)
""",
            tmp_path,
        )
        assert "3 passed" in said, said

    def test_each_test_may_have_an_event_loop_of_another_scope(self, tmp_path: Path) -> None:
        asyncio_mode(tmp_path)
        said = run_tests(
            JOBS
            + """
import threading

@pytest.fixture
def ltq_targets():
    return [worker]

async def use(box):
    handle = await note.send()
    assert len(await box.drain()) == 1
    assert await handle.result(timeout=5) is None

def nothing_is_left():
    return not [one for one in threading.enumerate() if one.name == "ltq-heartbeat"]

class TestShared:
    pytestmark = pytest.mark.asyncio(loop_scope="class")

    async def test_a(self, ltq_box):
        await use(ltq_box)

    async def test_b(self, ltq_box):
        assert nothing_is_left()
        await use(ltq_box)

@pytest.mark.asyncio(loop_scope="session")
async def test_session(ltq_box):
    await use(ltq_box)

def test_its_end_has_ended_all():
    assert nothing_is_left()
    assert not worker.health()

@pytest.mark.asyncio(loop_scope="function")
async def test_function(ltq_box):
    await use(ltq_box)

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.ltq(running=True)
async def test_module(ltq_box):
    assert await (await note.send()).result(timeout=5) is None

def test_none(ltq_box):
    for _ in range(2):
        asyncio.run(use(ltq_box))

def test_synchronous(ltq_box):
    note.send_sync()
    assert [sent.task_name for sent in ltq_box.sent] == ["shop:note"]
    ltq.close_sync()

@pytest.mark.asyncio(loop_scope="session")
async def test_a_plain_block_in_a_coroutine():
    with ltq.testing.use(worker) as box:
        await use(box)

async def test_another_loop_takes_over(ltq_box):
    await use(ltq_box)

@pytest.mark.asyncio(loop_scope="session")
async def test_the_first_one_again(ltq_box):
    await use(ltq_box)
""",
            tmp_path,
        )
        assert "11 passed" in said, said

    def test_the_plugin_of_anyio_may_run_them(self, tmp_path: Path) -> None:
        said = run_tests(
            JOBS
            + """
pytestmark = pytest.mark.anyio

@pytest.fixture(params=["asyncio", "trio"], scope="module")
def anyio_backend(request):
    if request.param == "trio":
        pytest.importorskip("trio")
    return request.param

@pytest.fixture
def ltq_targets():
    return [worker]

@pytest.mark.parametrize("_", range(2))
async def test_a(ltq_box, anyio_backend, _):
    if anyio_backend == "trio":
        with pytest.raises(ltq.ConfigurationError, match="trio"):
            await note.send()
        with pytest.raises(ltq.ConfigurationError, match="trio"):
            await ltq_box.drain()
    else:
        await note.send()
        assert len(await ltq_box.drain()) == 1
""",
            tmp_path,
            "-p",
            "no:asyncio",
        )
        assert "2 passed" in said or "4 passed" in said, said

    def test_workers_may_run_all_the_time(self, tmp_path: Path) -> None:
        asyncio_mode(tmp_path)
        said = run_tests(
            JOBS
            + """
@pytest.mark.ltq(worker, running=True)
async def test_a(ltq_box):
    assert await (await note.send()).result(timeout=5) is None
    handle = await note.with_options(delay=5).send()
    await ltq_box.clock.advance(5)
    assert await handle.result(timeout=5) is None
""",
            tmp_path,
        )
        assert "1 passed" in said, said

    def test_installing_ltq_brings_them(self, tmp_path: Path) -> None:
        entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
        installed = tmp_path / "ltq-0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ltq\nVersion: 0\n")
        (installed / "entry_points.txt").write_text(
            f"[pytest11]\nltq = {entries['pytest11']['ltq']}\n"
        )
        (tmp_path / "test_user.py").write_text("def test_a(ltq_box, ltq_clock): ltq_clock()\n")
        asyncio_mode(tmp_path)
        done = python("-m", "pytest", "-W", "error", "test_user.py", directory=tmp_path)
        assert "1 passed" in done.stdout, done.stdout

    def test_they_need_no_event_loop(self, tmp_path: Path) -> None:
        said = run_tests(
            JOBS
            + """
@pytest.mark.ltq(worker)
def test_a(ltq_box):
    note.send_sync()
    (state,) = asyncio.run(ltq_box.drain())
    assert state.status == "completed"
    assert ran == [1]
""",
            tmp_path,
            "-p",
            "no:asyncio",
        )
        assert "1 passed" in said, said

    def test_a_failing_assertion_shows_the_test_not_its_own_code(self, tmp_path: Path) -> None:
        said = run_tests(
            JOBS
            + """
@pytest.mark.ltq(worker)
def test_a(ltq_box):
    ltq.testing.assert_sent(note)
""",
            tmp_path,
            "-p",
            "no:asyncio",
        )
        assert "AssertionError: shop:note was not sent with ()" in said
        assert "_sent.py" not in said

    def test_they_are_shown_with_what_they_are(self, tmp_path: Path) -> None:
        said = python("-m", "pytest", *PLUGIN, "--fixtures", directory=tmp_path).stdout
        for name in ("ltq_box", "ltq_clock", "ltq_broker", "ltq_targets"):
            assert re.search(rf"^{name} .*\n    \w", said, re.MULTILINE)


class TestImport:
    @pytest.mark.parametrize("module", ["ltq", "ltq.testing"])
    def test_it_does_not_import_pytest(self, tmp_path: Path, module: str) -> None:
        script = f"import sys, {module}; print('pytest' in sys.modules)"
        assert python("-c", script, directory=tmp_path).stdout == "False\n"

    def test_names_are_sorted_and_have_docstrings(self) -> None:
        import ltq.testing

        assert ltq.testing.__all__ == sorted(ltq.testing.__all__)
        assert all(getattr(ltq.testing, name).__doc__ for name in ltq.testing.__all__)
