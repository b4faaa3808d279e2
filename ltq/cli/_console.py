"""Output for people: lines and columns, styled if stdout is a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ltq.logger import printable

Cell = str | Text

_MIN_LAST_COLUMN = 20
"""Fewest characters of the last column that are shown, however narrow the terminal is."""

_MIN_SHORTENED = 12
"""Fewest characters to which a text is shortened, however narrow the terminal is."""


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
    shortened: int | None = None,
) -> None:
    """Print rows under a head. The columns in `left` are aligned left, the others right.

    On a terminal, with `is_cut` the last column is cut at the edge, and the texts of the column
    `shortened` lose their middle until a line has room; otherwise nothing is cut.
    """
    for line in columns(console, head, rows, left=left, is_cut=is_cut, shortened=shortened):
        print_line(console, line)


def columns(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    left: set[int],
    is_cut: bool = False,
    shortened: int | None = None,
) -> list[Text]:
    """Return the lines that `print_columns` prints."""
    cells = [[Text(title, style="bold") for title in head]]
    cells += [[safe(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    if shortened is not None and console.is_terminal:
        others = sum(widths) - widths[shortened] + 2 * (len(widths) - 1)
        room = max(console.width - others, _MIN_SHORTENED)
        for row in cells:
            row[shortened] = _shorten(row[shortened], room)
        widths = _widths(cells)
    lines = []
    for row in cells:
        padded = Text("  ").join(
            _pad(cell, width, is_left=position in left)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        padded.rstrip()
        if is_cut and console.is_terminal:
            before = sum(widths[:-1]) + 2 * len(widths[:-1])
            padded.truncate(max(console.width, before + _MIN_LAST_COLUMN), overflow="ellipsis")
        lines.append(padded)
    return lines


def _widths(rows: Sequence[Sequence[Text]]) -> list[int]:
    return [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]


def _shorten(cell: Text, room: int) -> Text:
    """Return a text without the middle of its first word, if there is no room for all of it."""
    if len(cell) <= room:
        return cell
    word = len(cell.plain.partition(" ")[0])
    kept = max(room - (len(cell) - word), _MIN_SHORTENED) - 1
    end = kept // 2
    return Text.assemble(cell[: kept - end], "…", cell[word - end :])


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
