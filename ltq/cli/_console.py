"""Output for people: lines and columns, styled if stdout is a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ltq.logger import printable

Cell = str | Text

_MIN_LAST_COLUMN = 20
"""Fewest characters of the last column that are shown, however narrow the terminal is."""


def open_console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr, that never reads text as markup."""
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr)


def print_columns(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    left: set[int],
    is_cut: bool = False,
) -> None:
    """Print rows under a head. The columns in `left` are aligned left, the others right.

    With `is_cut` the last column is cut at the edge of a terminal; otherwise nothing is cut.
    """
    cells = [[Text(title, style="bold") for title in head]]
    cells += [[safe(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = Text("  ").join(
            _pad(cell, width, is_left=position in left)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        padded.rstrip()
        if is_cut and console.is_terminal:
            before = sum(widths[:-1]) + 2 * len(widths[:-1])
            padded.truncate(max(console.width, before + _MIN_LAST_COLUMN), overflow="ellipsis")
        print_line(console, padded)


def print_fields(console: Console, fields: Sequence[tuple[str, Cell]]) -> None:
    """Print one name and its value per line."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        print_line(console, Text.assemble((name.ljust(width + 2), "dim"), safe(value)))


def print_line(console: Console, line: Cell) -> None:
    """Print one line without wrapping it."""
    console.print(safe(line), soft_wrap=True)


def print_traceback(console: Console, traceback: str | None) -> None:
    """Print a traceback, if there is one, after an empty line."""
    if traceback:
        print_line(console, "")
        for line in traceback.rstrip().split("\n"):
            print_line(console, line.expandtabs(4))


def safe(cell: Cell) -> Text:
    """Escape the control characters of a text. A `Text` is taken to be safe already."""
    return cell if isinstance(cell, Text) else Text(printable(cell))


def count_tasks(count: int) -> str:
    """Return `"1 task"`, or `"2 tasks"`."""
    return "1 task" if count == 1 else f"{count} tasks"


def _pad(cell: Text, width: int, *, is_left: bool) -> Text:
    padding = " " * (width - cell.cell_len)
    return Text.assemble(cell, padding) if is_left else Text.assemble(padding, cell)
