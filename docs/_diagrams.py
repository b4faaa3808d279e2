"""Draws the flowcharts of the pages as SVG, so that a browser needs no program for them.

It knows the part of Mermaid that the pages use: after `flowchart TD` come the boxes, from top to
bottom, then the arrows between them. A dotted arrow (`-.->`) is an answer.

    flowchart TD
        accTitle: From arguments to bytes
        task["ltq/task.py<br>Task.send"]
        codec["ltq/_codec/call.py<br>encode_call"]
        task -->|arguments| codec
        codec -.->|bytes| task
"""

import re
from html import escape

FLOWCHART = re.compile(r"^```mermaid\n(flowchart TD\n.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of a page."""

_TITLE = re.compile(r"^ +accTitle: (.+)$", re.MULTILINE)
_BOX = re.compile(r'^ +(\w+)\["(.+?)<br>(.+?)"\]$', re.MULTILINE)
_ARROW = re.compile(r"^ +(\w+) (-->|-\.->)(?:\|(.+?)\|)? (\w+)$", re.MULTILINE)

_ROW, _HEIGHT = 76, 48
_LEFT, _WIDTH, _TOTAL = 20, 420, 640
_DOWN, _UP = _LEFT + 30, _LEFT + 230
"""Where arrows leave a box for the next one, and for the one before."""

_STYLE = (
    ".lt-back{fill:var(--ltq-back,#fff)}"
    ".lt-soft{fill:var(--ltq-soft,#666);font:12.5px system-ui,sans-serif}"
    ".lt-code{fill:var(--ltq-accent,#00796b);font:600 13px ui-monospace,monospace}"
    ".lt-box{fill:var(--ltq-fill,#f5f5f5);stroke:var(--ltq-soft,#666);stroke-width:1.2}"
    ".lt-dot{fill:var(--ltq-ink,#222)}"
    ".lt-plain{fill:none;stroke:var(--ltq-ink,#222);stroke-width:1.5}"
    ".lt-dashed{stroke-dasharray:6 4}"
)


def draw(chart: str) -> str:
    """The SVG of a flowchart."""
    (title,) = _TITLE.findall(chart)
    boxes = _BOX.findall(chart)
    rows = {name: row for row, (name, _, _) in enumerate(boxes)}
    parts = [_box(row, head, text) for row, (_, head, text) in enumerate(boxes)]
    for start, kind, text, end in _ARROW.findall(chart):
        arrow = _next if abs(rows[end] - rows[start]) == 1 else _past
        look = "lt-plain lt-dashed" if kind == "-.->" else "lt-plain"
        parts.append(arrow(rows[start], rows[end], look, text))
    height = len(boxes) * _ROW - 20
    tip = re.sub(r"\W+", "-", f"tip {title.lower()}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_TOTAL} {height}" '
        f'width="{_TOTAL}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<defs><marker id="{tip}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="lt-dot" d="M0 0 10 5 0 10z"/></marker></defs>'
        f'<rect class="lt-back" width="{_TOTAL}" height="{height}" rx="8"/>'
        + "".join(parts).replace("TIP", tip)
        + "</svg>"
    )


def boxes_of(text: str) -> list[tuple[str, str]]:
    """What stands in the boxes of all flowcharts of a page: a file, and what it does there."""
    return [
        (head, what) for chart in FLOWCHART.findall(text) for _, head, what in _BOX.findall(chart)
    ]


def _top(row: int) -> int:
    return 4 + row * _ROW


def _box(row: int, head: str, text: str) -> str:
    y = _top(row)
    return (
        f'<rect class="lt-box" x="{_LEFT}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text class="lt-code" x="{_LEFT + 12}" y="{y + 20}">{escape(head)}</text>'
        + _text(_LEFT + 12, y + 38, text)
    )


def _next(start: int, end: int, look: str, text: str) -> str:
    """An arrow to the box below or above."""
    if end > start:
        x, y, to = _DOWN, _top(start) + _HEIGHT, _top(end) - 1
    else:
        x, y, to = _UP, _top(start), _top(end) + _HEIGHT + 1
    return _arrow(f"M{x} {y}V{to}", look) + _text(x + 10, (y + to) // 2 + 4, text)


def _past(start: int, end: int, look: str, text: str) -> str:
    """An arrow past boxes, at their right side."""
    x, turn = _LEFT + _WIDTH, _LEFT + _WIDTH + 28
    y, to = _top(start) + _HEIGHT // 2, _top(end) + _HEIGHT // 2
    path = f"M{x} {y}H{turn}V{to}H{x + 2}"
    return _arrow(path, look) + _text(turn + 8, (y + to) // 2 + 4, text)


def _arrow(path: str, look: str) -> str:
    return f'<path class="{look}" marker-end="url(#TIP)" d="{path}"/>'


def _text(x: int, y: int, text: str) -> str:
    return f'<text class="lt-soft" x="{x}" y="{y}">{escape(text)}</text>'
