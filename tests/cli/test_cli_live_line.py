"""The line that follows a task on a terminal."""

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ltq.cli._live.line import LiveLine, _bar
from ltq.state import Progress, Status, TaskState


def state(status: Status, **fields: Any) -> TaskState[bytes]:
    return TaskState(id="a1", task_name="mail:send", queue="mail:send", status=status, **fields)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (state(Status.PENDING), (0, None)),
        (state(Status.WORKING, progress=Progress(3)), (3, None)),
        (state(Status.WORKING, progress=Progress(3, 4)), (3, 4)),
        (state(Status.COMPLETED, progress=Progress(3, 4)), (1, 1)),
        (state(Status.FAILED, progress=Progress(3, 4)), (3, 4)),
        (state(Status.FAILED, progress=Progress(3)), (0, 1)),
        (state(Status.CANCELLED), (0, 1)),
    ],
)
def test_the_bar_is_full_for_what_completed_and_stands_still_for_what_ended(
    shown: TaskState[bytes], expected: tuple[float, float | None]
) -> None:
    assert _bar(shown) == expected


@pytest.mark.parametrize(("count", "told"), [(1, False), (2, True)])
def test_a_run_that_is_not_the_first_is_told(count: int, told: bool) -> None:
    console = Console(width=120, record=True, force_terminal=True)
    clock: Any = SimpleNamespace(now=lambda: 0.0)
    line = LiveLine(console, clock)
    with line.screen():
        line.show(state(Status.FAILED, dequeue_count=count))
    assert ("(run 2)" in console.export_text()) == told
