"""The rates as a picture: bars in an SVG that can be read on light and on dark pages."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.contenders import LTQ
from benchmarks.results import Results
from benchmarks.tables import title

WIDTH = 760
MARGIN, LABELS, VALUES = 24, 104, 78
LINE, BAR = 24, 15

PANELS = (
    (
        "drain",
        "Tasks run per second",
        "one process, concurrency 100, results kept (ltq 0.4.0 has none; Torrelque is bare)",
    ),
    ("bulk", "Tasks sent per second", "500 a call; where there is no such call, 50 sends at once"),
)

STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de; } .head { fill: #1f2328; font-weight: 600; }
  .text { fill: #1f2328; } .note { fill: #59636e; } .bar { fill: #afb8c1; } .ltq { fill: #1f6feb; }
  text { font: 13px -apple-system, BlinkMacSystemFont, "Segoe UI", "DejaVu Sans", sans-serif; }
  .head { font-size: 15px; } .note { font-size: 12px; } .own { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d; } .head { fill: #f0f6fc; } .text { fill: #f0f6fc; }
    .note { fill: #9198a1; } .bar { fill: #656c76; } .ltq { fill: #4493f8; }
  }
"""


def save(results: Results, path: Path) -> None:
    """Write the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(results), "utf-8")


def draw(results: Results) -> str:
    """The picture, as text."""
    lines: list[str] = []
    top = MARGIN
    for measure, head, note in PANELS:
        bars = _bars(results, measure)
        if bars:
            lines += _panel(top, head, note, bars)
            top += 58 + LINE * len(bars)
    foot = f"{results.machine}, uvloop for all, hiredis wherever redis-py is. Medians."
    lines.append(text(MARGIN, top + 6, foot, "note"))
    height = top + 6 + MARGIN
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    page = f'x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>',
            f"<title>{escape(_told(results))}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" {page}/>',
            *lines,
            "</svg>\n",
        ]
    )


def _bars(results: Results, measure: str) -> list[tuple[str, float]]:
    """Names and rates, the quickest first."""
    rates = [(name, results.median(name, measure, "tasks/s")) for name in results.queues]
    known = [(name, rate) for name, rate in rates if rate is not None]
    return sorted(known, key=lambda bar: -bar[1])


def _panel(top: int, head: str, note: str, bars: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield text(MARGIN, top + 12, head, "head")
    yield text(MARGIN, top + 30, note, "note")
    room = WIDTH - 2 * MARGIN - LABELS - VALUES
    for number, (name, rate) in enumerate(bars):
        y = top + 42 + LINE * number
        long = max(2.0, room * rate / bars[0][1])
        kind, weight = ("ltq", " own") if name == LTQ else ("bar", "")
        x = MARGIN + LABELS
        yield text(x - 10, y + 12, title(name), "text" + weight, anchor="end")
        yield f'<rect class="{kind}" x="{x}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2"/>'
        yield text(x + long + 8, y + 12, _round(rate), "text" + weight)


def _round(rate: float) -> str:
    """Three digits."""
    return f"{float(f'{rate:.3g}'):,.0f}"


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Words at a place."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def _told(results: Results) -> str:
    """What the picture shows, for who cannot see it."""
    told = []
    for measure, head, _ in PANELS:
        bars = ", ".join(f"{title(name)} {_round(r)}" for name, r in _bars(results, measure))
        told.append(f"{head}: {bars}")
    return ". ".join(told)
