"""Handles in notebooks and terminals."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import ltq
from devtools.servers import free_port
from ltq import Progress, Status, TaskState, Worker
from ltq._display.html import describe, row, share, table

ROOT = Path(__file__).parent.parent


def state(
    status: Status, progress: Progress | None = None, error: str | None = None
) -> TaskState[object]:
    return TaskState(
        id="a", task_name="shop:price", queue="q", status=status, progress=progress, error=error
    )


class TestWords:
    @pytest.mark.parametrize(
        ("shown", "words"),
        [
            (None, ""),
            (state(Status.PENDING), ": pending"),
            (state(Status.WORKING, Progress(3, 10)), ": working 3/10"),
            (state(Status.WORKING, Progress(0.5)), ": working 0.5"),
        ],
    )
    def test_they_follow_a_name(self, shown: TaskState[object] | None, words: str) -> None:
        assert describe(shown) == words

    @pytest.mark.parametrize(
        ("shown", "expected"),
        [
            (None, 0.0),
            (state(Status.WORKING), 0.0),
            (state(Status.WORKING, Progress(3, 10)), 0.3),
            (state(Status.WORKING, Progress(12, 10)), 1.0),
            (state(Status.WORKING, Progress(-1, 10)), 0.0),
            (state(Status.WORKING, Progress(3, 0)), 0.0),
            (state(Status.COMPLETED, Progress(3, 10)), 1.0),
        ],
    )
    def test_a_share_is_between_0_and_1(
        self, shown: TaskState[object] | None, expected: float
    ) -> None:
        assert share(shown) == expected


class TestHtml:
    def test_it_shows_the_task_and_how_far_it_is(self) -> None:
        html = table([row("shop:price", "a", state(Status.WORKING, Progress(3, 10, "<b>")))])
        for part in ("shop:price", "working", "width:48px", "3/10 &lt;b&gt;"):
            assert part in html
        assert "<b>)" not in html

    def test_an_error_is_text(self) -> None:
        html = row("t", "a", state(Status.FAILED, error="ValueError: <script>"))
        assert "ValueError: &lt;script&gt;" in html


class TestHandle:
    async def test_it_shows_its_last_known_state(self) -> None:
        worker = Worker("shop", broker_url="memory://test_display")

        @worker.task
        async def price(number: int) -> int:
            await ltq.current().progress(1, 2)
            return number

        handle = await price.send(3)
        assert repr(handle) == f"<Handle of shop:price {handle.id}>"
        await handle.state()
        assert repr(handle) == f"<Handle of shop:price {handle.id}: pending>"
        assert "pending" in handle._repr_html_()
        async with worker:
            assert await handle.result(timeout=5) == 3
        assert repr(handle) == f"<Handle of shop:price {handle.id}: completed>"
        found = price.handle_sync(handle.id)
        assert repr(found) == f"<SyncHandle of shop:price {handle.id}>"
        assert handle.id in found._repr_html_()


PROGRAM = """
import asyncio
import ltq

worker = ltq.Worker("shop", broker_url="memory://")


@worker.task
async def price(number: int) -> int:
    await ltq.current().progress(number, 4, f"step {number}")
    await asyncio.sleep(0.3)  # the task's own time
    if number == 3:
        raise ValueError("three")
    return number


async def main(many: int = 4) -> None:
    async with worker:
        handles = await price.send_many([price.message(number) for number in range(many)])
        await ltq.display(*handles, price.handle("nobody"))

"""

NOTEBOOK = """
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.kernel = object()  # what a notebook's shell has
shell.display_pub = CapturingDisplayPublisher()
asyncio.run(main())
outputs = shell.display_pub.outputs
htmls = [output["data"]["text/html"] for output in outputs]
assert any("width:80px" in html and "2/4 step 2" in html for html in htmls), htmls
assert htmls[-1].count("completed") == 3 and "ValueError: three" in htmls[-1], htmls
assert "no task with id" in htmls[-1]
assert [output["update"] for output in outputs] == [False] + [True] * (len(outputs) - 1)
assert 3 <= len(outputs) < 20, len(outputs)
"""


def run(program: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "160", "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestDisplay:
    @pytest.mark.slow
    def test_in_a_terminal_it_prints_a_line_for_each(self, tmp_path: Path) -> None:
        output = run(PROGRAM + "asyncio.run(main())", tmp_path)
        lines = output.splitlines()
        assert [line.count("completed") for line in lines] == [1, 1, 1, 0, 0]
        assert lines[3].rstrip().endswith("ValueError: three")
        assert lines[4].startswith("shop:price nobody")
        assert "no task with id 'nobody'" in lines[4]

    @pytest.mark.slow
    def test_of_many_it_shows_some_and_counts_the_rest(self, tmp_path: Path) -> None:
        lines = run(PROGRAM + "asyncio.run(main(30))", tmp_path).splitlines()
        assert len(lines) == 21
        assert lines[-1] == "and 11 more; 31 of 31 have ended"
        assert sum("ValueError: three" in line for line in lines) == 1

    @pytest.mark.slow
    def test_in_a_notebook_it_draws_below_the_cell(self, tmp_path: Path) -> None:
        pytest.importorskip("IPython")
        run(PROGRAM + NOTEBOOK, tmp_path)

    async def test_nothing_is_shown_of_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        await ltq.display()
        assert capsys.readouterr().out.strip() == ""

    @pytest.mark.slow
    async def test_a_broker_that_is_away_is_an_error_and_nothing_goes_on(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        worker = Worker("shop", broker_url=f"redis://127.0.0.1:{free_port()}")

        @worker.task
        async def price(number: int) -> int:
            return number

        with pytest.raises(ltq.BrokerError):
            await ltq.display(price.handle("a"), price.handle("b"))
        await worker.aclose()
        assert {task for task in asyncio.all_tasks() if "follow" in repr(task)} == set()
