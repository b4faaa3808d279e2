"""The process of `ltq`: what is done in it only if it belongs to nobody else."""

from ltq.cli._root import main

is_own = False
"""Whether this process is that of the command, and not one that calls it."""


def program() -> None:
    """Run the command as this process. It is what `ltq` and `python -m ltq` call."""
    global is_own
    is_own = True
    main(prog_name="ltq")
