"""What the screen shows of a snapshot, and what keys change of that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.text import Text

from ltq.cli._console import Cell, safe
from ltq.cli.top._panes import PANES, rows_of
from ltq.cli.top._snapshot import Snapshot

_HELP = "q quit  Tab pane  ↑↓ scroll  s sort  r reverse  / filter"

_FEWEST = 3
"""Rows of a pane that is not chosen, if it has so many."""

_SHORTEST = 10
"""Fewest characters of the first column."""


@dataclass(slots=True)
class PaneView:
    """How one pane is shown."""

    sort: int
    is_reversed: bool = False
    top: int = 0
    """The first row that is shown."""
    height: int = 1
    """How many rows were shown last."""


_SCROLLS: Mapping[str, Callable[[PaneView], int]] = {
    **dict.fromkeys(("down", "j"), lambda view: view.top + 1),
    **dict.fromkeys(("up", "k"), lambda view: view.top - 1),
    **dict.fromkeys(("page down", " "), lambda view: view.top + view.height),
    **dict.fromkeys(("page up", "b"), lambda view: view.top - view.height),
    **dict.fromkeys(("home", "g"), lambda _: 0),
    **dict.fromkeys(("end", "G"), lambda _: 10**9),
}
"""By key, the first row that is shown then. Beyond the end it is brought back."""

_CHOICES: Mapping[str, Callable[[int], int]] = {
    "tab": lambda chosen: chosen + 1,
    "back tab": lambda chosen: chosen - 1,
    "1": lambda _: 0,
    "2": lambda _: 1,
    "3": lambda _: 2,
}
"""By key, which pane is chosen then."""


@dataclass(slots=True)
class Screen:
    """The screen. `lines` draws it; `press` changes what it shows."""

    title: str
    """The URL of the broker, or the names of several."""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    """What was read last, by the name of the broker: empty for the only one."""
    errors: dict[str, str] = field(default_factory=dict)
    """Why brokers could not be read last, by name."""
    wanted: str = ""
    """The filter: rows without this text are not shown."""
    is_typing: bool = False
    """Whether keys go to the filter."""
    chosen: int = 0
    """The pane that keys are for."""
    views: list[PaneView] = field(default_factory=lambda: [PaneView(pane.sort) for pane in PANES])

    def press(self, key: str) -> bool:
        """A key was pressed. Returns whether it ends the program."""
        if self.is_typing:
            self._type(key)
            return False
        if key in ("q", "Q"):
            return True
        view = self.views[self.chosen]
        if key in _CHOICES:
            self.chosen = _CHOICES[key](self.chosen) % len(PANES)
        elif key in _SCROLLS:
            view.top = max(0, _SCROLLS[key](view))
        elif key == "/":
            self.is_typing = True
        elif key == "escape":
            self.wanted = ""
        else:
            self._sort(view, key)
        return False

    def _sort(self, view: PaneView, key: str) -> None:
        if key == "s":
            view.sort = (view.sort + 1) % len(PANES[self.chosen].columns)
            view.is_reversed, view.top = False, 0
        elif key == "r":
            view.is_reversed, view.top = not view.is_reversed, 0

    def _type(self, key: str) -> None:
        match key:
            case "enter":
                self.is_typing = False
            case "escape" | "ctrl-c":
                self.is_typing, self.wanted = False, ""
            case "backspace":
                self.wanted = self.wanted[:-1]
            case _ if len(key) == 1 and key.isprintable():
                self.wanted += key
        for view in self.views:
            view.top = 0

    def lines(self, width: int, height: int) -> list[Text]:
        """The lines of a screen of this size, from the top to the bottom."""
        lines = [self._head()]
        if self.snapshots:
            lines += self._panes(width, max(0, height - 2))
        lines = lines[: max(1, height - 1)]
        lines += [Text()] * (height - 1 - len(lines))
        if height > 1:
            lines.append(self._foot())
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _head(self) -> Text:
        head = Text("ltq top", style="bold")
        found = self.snapshots.values()
        if found:
            waiting, running = sum(one.waiting for one in found), sum(one.running for one in found)
            rate, silent = sum(one.rate for one in found), sum(one.silent for one in found)
            count = sum(len(one.workers) for one in found)
            head.append(f"  {waiting} waiting, {running} running, {rate:.1f}/s, ", "not bold")
            head.append("1 worker" if count == 1 else f"{count} workers", "not bold")
            if silent:
                head.append(f" ({silent} silent)", "not bold red")
        return head.append(f"  {safe(self.title)}", "not bold dim")

    def _foot(self) -> Text:
        if self.is_typing:
            return Text(f"filter: {self.wanted}█  Enter to keep, Esc to drop it")
        if self.errors:
            told = [f"{name}: {error}" if name else error for name, error in self.errors.items()]
            return Text.assemble(safe("; ".join(told)), style="red")
        if not self.snapshots:
            return Text("reading ...", style="dim")
        if self.wanted:
            return Text.assemble("filter: ", safe(self.wanted), ("  Esc drops it  ", "dim"), _HELP)
        return Text(_HELP, style="dim")

    def _panes(self, width: int, height: int) -> list[Text]:
        all_rows = [
            rows_of(
                pane,
                self.snapshots,
                sort=view.sort,
                is_reversed=view.is_reversed,
                wanted=self.wanted,
            )
            for pane, view in zip(PANES, self.views, strict=True)
        ]
        room = max(0, height - len(PANES))
        heights = share(room, [len(rows) for rows in all_rows], self.chosen)
        lines: list[Text] = []
        for position, rows in enumerate(all_rows):
            lines += self._pane(position, rows, width, heights[position])
        return lines

    def _pane(self, position: int, rows: list[list[Cell]], width: int, height: int) -> list[Text]:
        view, columns = self.views[position], PANES[position].columns
        view.top, view.height = max(0, min(view.top, len(rows) - height)), max(1, height)
        shown = rows[view.top : view.top + height]
        first = max(_SHORTEST, width - sum(column.width for column in columns))
        head = Text(style="bold reverse" if position == self.chosen else "bold underline")
        for number, column in enumerate(columns):
            is_down = column.grows_down != view.is_reversed
            arrow = "" if number != view.sort else "▼" if is_down else "▲"
            title = f"{column.title}{arrow}"
            if number == 0:
                title += _range(view.top, len(shown), len(rows))
            head.append_text(_fit(title, column.width or first, is_left=column.is_left))
        lines = [head]
        for row in shown:
            cells = zip(row, columns, strict=True)
            parts = [_fit(cell, one.width or first, is_left=one.is_left) for cell, one in cells]
            lines.append(Text().join(parts))
        return lines


def share(room: int, wanted: list[int], chosen: int) -> list[int]:
    """How many of the lines each pane gets. The chosen one gets what the others can spare."""
    heights = [0 if i == chosen else min(many, _FEWEST) for i, many in enumerate(wanted)]
    while sum(heights) > max(0, room - min(wanted[chosen], _FEWEST)) and any(heights):
        heights[heights.index(max(heights))] -= 1
    heights[chosen] = max(0, min(wanted[chosen], room - sum(heights)))
    for i, many in enumerate(wanted):
        heights[i] += max(0, min(many - heights[i], room - sum(heights)))
    return heights


def _range(top: int, shown: int, total: int) -> str:
    """Which rows are shown, behind the title."""
    return f" {total}" if shown == total else f" {top + 1}-{top + shown} of {total}"


def _fit(cell: Cell, width: int, *, is_left: bool) -> Text:
    """A cell of exactly this width. Of a text that is too long the middle is left out."""
    text, room = safe(cell), max(1, width - 1)
    if text.cell_len > room:
        plain, half = text.plain, (room - 1) // 2
        text = Text(f"{plain[:half]}…{plain[len(plain) - (room - 1 - half) :]}", style=text.style)
        text.truncate(room)
    gap = " " * (width - text.cell_len)
    return Text.assemble(text, gap) if is_left else Text.assemble(gap, text)
