"""Durations as text for people."""

_UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
"""The units of durations, in seconds."""


def age_text(seconds: float) -> str:
    """Return `"3 min 2 s ago"`; `"in 3 min 2 s"` for a negative age."""
    length = duration_text(abs(seconds))
    return f"{length} ago" if seconds >= 0 else f"in {length}"


def brief_text(seconds: float) -> str:
    """Return a duration in its largest unit, without parts: `"0 s"`, `"12 s"`, `"3 min"`."""
    unit, length, _ = _largest_unit(seconds)
    return f"{max(0, int(seconds // length))} {unit}"


def measured_text(seconds: float) -> str:
    """Return a duration in its largest unit: `"0.31 ms"`, `"12 ms"`, `"4.5 s"`, `"3.2 min"`."""
    if seconds < 1.0:
        return f"{1e3 * seconds:.2g} ms" if seconds < 0.0995 else f"{1e3 * seconds:.0f} ms"
    unit, length, _ = _largest_unit(seconds)
    return f"{seconds / length:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: `"5.1 s"`, `"3 min 2 s"`, `"5 h 12 min"`."""
    unit, length, smaller = _largest_unit(seconds)
    if smaller is None:
        return f"{seconds:.1f} {unit}"
    rest = int(seconds % length // _UNITS[smaller])
    return f"{int(seconds // length)} {unit} {rest} {smaller}"


def _largest_unit(seconds: float) -> tuple[str, float, str | None]:
    """Return the largest unit that fits in, its seconds, and the next smaller unit."""
    for (unit, length), smaller in zip(_UNITS.items(), [*_UNITS][1:], strict=False):
        if seconds >= length:
            return unit, length, smaller
    return "s", _UNITS["s"], None
