"""Showing values in error messages."""

_LONGEST = 80
"""Most characters of a value that an error message shows."""


def short_repr(value: object) -> str:
    """`repr(value)`, cut at 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
