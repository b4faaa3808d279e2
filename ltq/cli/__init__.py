"""The command `ltq`."""

from ltq.cli._root import main

__all__ = ["main"]
