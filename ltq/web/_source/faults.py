"""What errors have in common: their texts without what differs from one task to the next."""

import re

_VARIABLE = re.compile(r"""0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]+)*\b|\d+(?:[.:]\d+)*""")

_LONGEST = 120


def fault_of(error: str | None) -> str:
    """The first line of an error with `…` for numbers and ids: what dead letters are grouped by."""
    first = (error or "").strip().partition("\n")[0]
    text = _VARIABLE.sub("…", first)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
