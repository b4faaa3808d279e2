"""The curves as a picture: a panel for each, in an SVG for light and dark pages. Both scales are
logarithmic: a cost that stays as it is is a level line."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.chart import MARGIN, STYLE, WIDTH, text
from benchmarks.curves.curve import Curve, Measured, Points

PANEL, HEIGHT = 300, 150
"""Of the field in which the lines are. Two panels stand side by side."""

TOP, BOTTOM, LEFT = 44, 56, 52
_BETWEEN = (WIDTH - 2 * MARGIN - 2 * (PANEL + LEFT)) + LEFT

LINES = """
  .line { fill: none; stroke-width: 2; stroke: #afb8c1; } .dot { fill: #afb8c1; }
  .line.first { stroke: #1f6feb; } .dot.first { fill: #1f6feb; } .axis { stroke: #d0d7de; }
  @media (prefers-color-scheme: dark) {
    .line { stroke: #656c76; } .dot { fill: #656c76; } .axis { stroke: #3d444d; }
    .line.first { stroke: #4493f8; } .dot.first { fill: #4493f8; }
  }
"""


def save(measured: Measured, curves: Sequence[Curve], path: Path) -> None:
    """Write the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(measured, curves), "utf-8")


def draw(measured: Measured, curves: Sequence[Curve]) -> str:
    """The picture, as text."""
    lines: list[str] = []
    for number, curve in enumerate(curves):
        left = MARGIN + LEFT + (number % 2) * (PANEL + _BETWEEN)
        top = MARGIN + (number // 2) * (TOP + HEIGHT + BOTTOM)
        lines += _panel(curve, measured.curves[curve.name], left, top)
    height = MARGIN + math.ceil(len(curves) / 2) * (TOP + HEIGHT + BOTTOM) + MARGIN
    lines.append(text(MARGIN, height - 14, str(measured.machine), "note"))
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    page = f'x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>',
            f"<title>{escape(_told(measured, curves))}</title>",
            f"<style>{STYLE}{LINES}</style>",
            f'<rect class="page" {page}/>',
            *lines,
            "</svg>\n",
        ]
    )


def _panel(curve: Curve, points: Points, left: int, top: int) -> Iterator[str]:
    sizes = [*points]
    steps = [*points[sizes[0]]]
    costs = [points[size][step] for size in sizes for step in steps]
    lowest, highest = _decade(min(costs), math.floor), _decade(max(costs), math.ceil)
    highest = max(highest, 10 * lowest)
    begin = top + TOP
    yield text(left, top + 12, curve.axis[0].upper() + curve.axis[1:], "head")
    yield text(left, top + 30, curve.unit, "note")
    for level in (lowest, highest):
        y = begin + HEIGHT * (1 - _part(level, lowest, highest))
        yield f'<line class="axis" x1="{left}" x2="{left + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield text(left - 6, y + 4, f"{level:g}", "note", anchor="end")
    places = {size: left + PANEL * _part(size, sizes[0], sizes[-1]) for size in sizes}
    for size in (sizes[0], sizes[-1]):
        yield text(places[size], begin + HEIGHT + 18, f"{size:,}", "note", anchor="middle")
    for number, step in enumerate(steps):
        kind = "first" if number == 0 else "other"
        spots = [
            (places[size], begin + HEIGHT * (1 - _part(points[size][step], lowest, highest)))
            for size in sizes
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        yield f'<polyline class="line {kind}" points="{path}"/>'
        for x, y in spots:
            yield f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        yield text(spots[0][0] + 4, spots[0][1] - 7, step, "note")


def _decade(value: float, whole: Callable[[float], int]) -> float:
    return 10.0 ** whole(math.log10(value))


def _part(value: float, first: float, last: float) -> float:
    """Where a value lies between two others, on a logarithmic scale: from 0 to 1."""
    return math.log(value / first) / math.log(last / first) if last != first else 0.0


def _told(measured: Measured, curves: Sequence[Curve]) -> str:
    """What the picture shows, for who cannot see it."""
    told = []
    for curve in curves:
        points = measured.curves[curve.name]
        first, last = next(iter(points)), next(reversed(points))
        steps = ", ".join(
            f"{step} {points[first][step]:.3g} and {points[last][step]:.3g} {curve.unit}"
            for step in points[first]
        )
        told.append(f"{first:,} and {last:,} {curve.axis}: {steps}")
    return ". ".join(told)
