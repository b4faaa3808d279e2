"""From what is known of something to HTML: the templates, and how they show times and numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from ltq._display.durations import brief_text, duration_text, measured_text
from ltq.logger import printable
from ltq.state import Minute, Priority, Progress, Status
from ltq.web._view.assets import asset_version

SPARK_WIDTH, SPARK_HEIGHT = 120, 24
"""The size of a sparkline, in its own units."""

LIVE = "live"
"""The block of a page's template that is kept up to date."""


class Raw(str):
    """A text that keeps its control characters: what a form is filled with."""

    __slots__ = ()


def render_page(template: str, context: Mapping[str, Any]) -> str:
    """The whole page."""
    return _environment().get_template(template).render(context)


def render_live(template: str, context: Mapping[str, Any]) -> str:
    """The part of a page that is kept up to date: the same template, one block of it."""
    found = _environment().get_template(template)
    return "".join(found.blocks[LIVE](found.new_context(dict(context))))


def warm() -> None:
    """Compile the templates, so that the first page does not wait for it."""
    environment = _environment()
    for name in environment.list_templates():
        environment.get_template(name)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ltq.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "age": age,
        "brief": brief_text,
        "count": count,
        "duration": duration_text,
        "enc": lambda text: quote(str(text), safe=""),
        "measured": measured_text,
        "query": query,
        "rate": rate,
    }
    environment.globals |= {
        "asset": asset_version,
        "bar": bar,
        "spark": spark,
        "Status": Status,
        "Priority": Priority,
    }
    return environment


def _visible(value: Any) -> Any:
    """What nobody could see, or what changes the direction of text, is shown as escapes."""
    return printable(value) if type(value) is str else value


def ago(moment: float | None, now: float) -> Markup:
    """A moment in relation to now, as `12 s ago` or `in 5 min`; the exact one is its title."""
    if moment is None:
        return Markup("")
    left = moment - now
    text = f"in {brief_text(left)}" if left > 0 else f"{brief_text(-left)} ago"
    return _time(moment, text, "ago")


def age(moment: float | None, now: float) -> Markup:
    """How long ago a moment was, as `12 s`."""
    return (
        Markup("") if moment is None else _time(moment, brief_text(max(0.0, now - moment)), "age")
    )


def _time(moment: float, text: str, kind: str) -> Markup:
    try:
        exact = datetime.fromtimestamp(round(moment, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return Markup("<span>{}</span>").format(str(moment))
    return Markup('<time datetime="{}" title="{}" data-kind="{}">{}</time>').format(
        exact.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        f"{exact:%Y-%m-%d %H:%M:%S} UTC",
        kind,
        text,
    )


def count(number: float) -> Markup:
    """A whole number with thin spaces, such as `1 203 221`; a zero is dim."""
    text = f"{number:,.0f}".replace(",", "\u202f")
    return Markup('<span class="zero">0</span>' if number == 0 else "{}").format(text)


def rate(number: float) -> str:
    """Tasks a second, with as many digits as say something."""
    if number == 0:
        return "0"
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}".replace(",", "\u202f")


def query(values: Mapping[str, Any]) -> str:
    """The query of an address, with its `?`, without what is empty."""
    kept = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(kept)}" if kept else "?"


class Bar(NamedTuple):
    """How far a task is."""

    percent: int | None
    """None if there is no total."""
    text: str


def bar(progress: Progress) -> Bar:
    """How far a task is, for a bar and in words."""
    text = f"{progress.current:g}"
    total = progress.total
    if total is None or not (math.isfinite(total) and total > 0):
        return Bar(None, text)
    share = min(max(progress.current / total, 0.0), 1.0)
    return Bar(round(100 * share), f"{text} of {total:g}")


def spark(minutes: Sequence[Minute]) -> Markup:
    """The tasks that ended in each minute as a small picture; those that failed are apart."""
    ended = [one.completed + one.failed + one.rejected for one in minutes]
    failed = [one.failed + one.rejected for one in minutes]
    most = max(ended, default=0)
    total, bad = sum(ended), sum(failed)
    words = f"{total} tasks ended in the last {len(minutes)} minutes, {bad} of them failed"
    if not most:
        return Markup('<span class="spark none" title="{}">quiet</span>').format(words)
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" '
        'aria-label="{words}"><title>{words}</title>'
        '<path class="all" d="{all}"/>{bad}</svg>'
    ).format(
        w=SPARK_WIDTH,
        h=SPARK_HEIGHT,
        words=words,
        all=_area(ended, most),
        bad=Markup('<path class="bad" d="{}"/>').format(_area(failed, most)) if bad else "",
    )


def _area(numbers: Iterable[int], most: int) -> str:
    """The path of an area below a line of steps."""
    numbers = list(numbers)
    step = SPARK_WIDTH / len(numbers)
    parts = [f"M0 {SPARK_HEIGHT}"]
    for place, number in enumerate(numbers):
        top = SPARK_HEIGHT - (SPARK_HEIGHT - 1) * number / most
        parts.append(f"V{top:.1f}H{(place + 1) * step:.1f}")
    return f"{''.join(parts)}V{SPARK_HEIGHT}Z"
