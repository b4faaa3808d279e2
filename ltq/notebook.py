"""Showing tasks live: below the cell of a notebook, or in a terminal."""

import asyncio
import sys
from collections.abc import Callable, Sequence

from ltq._aio.service import cancel_all
from ltq._display.html import remark, row, share, table
from ltq.errors import TaskNotFoundError
from ltq.handle import Handle
from ltq.handles import check_handles
from ltq.state import TaskState

__all__ = ["display"]
_REDRAW_EVERY = 0.1
"""Fewest seconds between two drawings."""

_BAR_WIDTH = 24
"""Characters of a bar in a terminal."""

_MOST_LINES = 20
"""Most tasks that get a line of their own."""


class _Line:
    """The line of one task."""

    def __init__(self, handle: Handle[object]) -> None:
        self.handle = handle
        self.state: TaskState[object] | None = None
        self.note = ""

    @property
    def has_ended(self) -> bool:
        """Whether the line will not change any more."""
        return bool(self.note) or (self.state is not None and self.state.status.is_final)

    async def follow(self, changed: asyncio.Event) -> None:
        """Keep it up to date until the task has ended."""
        try:
            async for state in self.handle.watch():
                self.state = state
                changed.set()
        except TaskNotFoundError as error:
            self.note = str(error)
            changed.set()


Draw = Callable[[Sequence[_Line], str], None]
"""Draws lines, and a summary of those that are left out."""


async def display(*handles: Handle[object]) -> None:
    """Show tasks live until all of them have ended.

        await ltq.display(handle)
        await ltq.display(*handles)

    In a notebook they are bars below the cell, elsewhere lines in a terminal. A task that fails
    raises nothing here: call `handle.result()` for its error. Raises `BrokerError`, and
    `InvalidArgumentsError` for an argument that is not a handle.
    """
    check_handles("display(*handles)", handles)
    lines = [_Line(handle) for handle in handles]
    changed = asyncio.Event()
    draw, end = _notebook() or _terminal()
    watches = [asyncio.create_task(line.follow(changed)) for line in lines]
    following = asyncio.gather(*watches)
    following.add_done_callback(lambda _: changed.set())
    try:
        while not following.done():
            changed.clear()
            draw(*_choose(lines))
            await changed.wait()
            await asyncio.wait([following], timeout=_REDRAW_EVERY)
        await following
        draw(*_choose(lines))
    finally:
        await cancel_all([*watches, following])
        end()


def _choose(lines: Sequence[_Line]) -> tuple[Sequence[_Line], str]:
    """The lines to show, running and failed tasks first, and a summary of the others."""
    if len(lines) <= _MOST_LINES:
        return lines, ""
    ended = sum(line.has_ended for line in lines)
    shown = sorted(lines, key=_urgency)[:_MOST_LINES]
    return shown, f"and {len(lines) - _MOST_LINES} more; {ended} of {len(lines)} have ended"


def _urgency(line: _Line) -> int:
    if not line.has_ended:
        return 1 if line.state is None or line.state.worker is None else 0
    return 2 if line.note or (line.state is not None and line.state.error) else 3


def _notebook() -> tuple[Draw, Callable[[], None]] | None:
    """How to draw below the cell of a notebook, and how to end; None outside of notebooks."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it; elsewhere it may be missing
    shell = None if ipython is None else ipython.get_ipython()
    if ipython is None or not hasattr(shell, "kernel"):
        return None
    area = ipython.display.display(_Html(""), display_id=True)

    def draw(lines: Sequence[_Line], rest: str) -> None:
        rows = [row(one.handle.task_name, one.handle.id, one.state, one.note) for one in lines]
        area.update(_Html(table(rows) + rest))

    return draw, lambda: None


class _Html:
    """HTML for a notebook."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def _terminal() -> tuple[Draw, Callable[[], None]]:
    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    live = Live(auto_refresh=False)
    live.start()

    def draw(lines: Sequence[_Line], rest: str) -> None:
        grid = Table.grid(padding=(0, 2))
        for line in lines:
            bar = ProgressBar(1.0, share(line.state), width=_BAR_WIDTH)
            name = Text(f"{line.handle.task_name} {line.handle.id}", no_wrap=True)
            said = Text(_words(line), no_wrap=True, overflow="ellipsis")
            grid.add_row(name, "" if line.state is None else line.state.status.value, bar, said)
        live.update(Group(grid, *([rest] if rest else [])), refresh=True)

    def end() -> None:
        live.stop()
        if not live.console.is_terminal:  # rich does not end the last line there
            live.console.line()

    return draw, end


def _words(line: _Line) -> str:
    text = line.note if line.state is None else remark(line.state)
    return "".join(char if char.isprintable() else " " for char in text)
